"""A design begun from a patch: what is copied, where the comments stand, which scenarios come there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from septum.check.loading import designs, load
from septum.cli.new import text
from septum.sources.begin import Begun, begin, told
from septum.sources.patch import read
from septum.sources.reached import scenarios
from septum.sources.series import text_of

PATCHES = Path(__file__).parent / "patches"
BASE = designs()["dpamt_merged"]


def begun(name: str) -> list[Begun]:
    return begin(read((PATCHES / f"{name}.patch").read_text()).functions, BASE)


def source(name: str) -> str:
    found = begun(name)
    return text("mine", "dpamt_merged", (), found, {"": ["same_gfn"]})


def body(written: str, operation: str) -> list[str]:
    """The lines of an operation of the file, without indentation."""
    found = re.search(rf"^def {operation}\(.*?(?=\n\n)", written, re.MULTILINE | re.DOTALL)
    assert found
    return [line.strip() for line in found[0].splitlines()[1:]]


@pytest.mark.parametrize("name", ["references", "holes", "topup"])
def test_the_file_is_the_base_until_it_is_changed(name, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(source(name), encoding="utf-8")
    assert load(str(path)).operations == BASE.operations


def test_a_change_before_a_seamcall_stands_before_it_and_one_behind_it_behind():
    lines = body(source("references"), "set_external_spte")
    call = next(number for number, line in enumerate(lines) if "tdx_mem_page_aug(m," in line)
    assert lines[call - 1] == "# patch: + reference: tdx_pamt_get(page) in tdx_mem_page_aug(), before tdh_mem_page_aug()"
    assert lines[call + 1] == "# patch: + reference: tdx_pamt_put(page) in tdx_mem_page_aug(), after tdh_mem_page_aug()"


def test_what_the_patch_takes_away_is_marked_where_the_copy_has_it():
    lines = body(source("holes"), "free_external_spt")
    free = next(number for number, line in enumerate(lines) if line.startswith("free_page("))
    assert lines[free - 1] == "# patch: - free: free_page(external_spt) in tdx_sept_free_private_spt()"


def test_of_a_function_that_no_design_replaces_the_operations_that_it_calls_are_copied():
    (topup,) = begun("topup")
    assert topup.operations == ("topup_external_cache",)
    assert "which no design replaces; copied, since it calls them: topup_external_cache" in told(topup)
    assert body(source("topup"), "topup_external_cache")[1:3] == [
        "# patch: mmu_topup_memory_caches() calls this operation; what changes there:",
        "# patch: + lock: mutex_lock(topup_lock) in mmu_topup_memory_caches(), before kvm_mmu_topup_memory_cache()",
    ]


def test_a_function_that_the_model_has_not_is_named():
    found = {one.touched.name: told(one) for one in begun("holes")}
    assert found["tdx_free_spt_rcu"] == "the model has nothing that stands for it"
    assert found["kvm_gmem_punch_hole"].endswith("which no design replaces")


def test_what_another_design_has_for_a_function_is_the_operation_of_the_base():
    split, other = begin(read((PATCHES / "split.patch").read_text()).functions, designs()["dpamt_merged_split"])
    assert split.operations == ("split_external_spte",)
    assert split.places == (("designs/dpamt_merged_split.py", "split_external_spte"),)
    assert told(other) == "the model has nothing that stands for it; its nearest name is tdx_sept_free_private_spt()"


def test_the_scenarios_that_come_there_are_those_of_the_design():
    found = scenarios("dpamt_merged", begun("holes"))
    assert list(found) == [""]
    assert "punch_hole" in found[""]
    assert "same_gfn" not in found[""]


def test_for_what_no_scenario_of_a_design_comes_to_those_of_kvm_are_named():
    (one,) = begun("association")
    assert one.operations == ()
    found = scenarios("dpamt_merged", [one])
    assert list(found) == ["kvm_dpamt_merged"]
    assert "change_cpus" in found["kvm_dpamt_merged"]


def of(source: str) -> list[Begun]:
    return begin(read(text_of(str(PATCHES / source))).functions, designs()["upstream"])


@pytest.mark.parametrize(
    ("source", "operation", "comments"),
    [
        ("stages", "link_external_spt", ["+ reference: tdx_pamt_get(table)", "+ reference: tdx_pamt_put(table)"]),
        ("mailbox.mbox", "free_external_spt", ["+ grace period: call_rcu(rcu_head)"]),
        (
            "moved.diff",
            "set_external_spte",
            [
                "+ lock: guard(mutex)(aug_lock)",
                "+ lock: scoped_guard(page_lock)",
                "+ allocation: kvm_x86_call(topup_external_cache)(kvm)",
            ],
        ),
    ],
)
def test_a_design_is_begun_from_each_form_of_a_series(source, operation, comments):
    """A function goes by the name that it had until a release, too."""
    written = body(text("mine", "upstream", (), of(source), {"": []}), operation)
    assert [line.removeprefix("# patch: ").partition(" in ")[0] for line in written if line.startswith("# patch: ")] == comments
