"""Traces of TDs: the model writes them as a kernel would, and a replay follows them, SEAMCALLs and all."""

from __future__ import annotations

import re

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Result as Checked
from septum.check.result import Verdict as Judged
from septum.check.schedules import schedule
from septum.explore.build import build
from septum.lang.errors import UserError
from septum.replay.result import Result, Verdict
from septum.report.ftrace import written
from tests.progress import retries
from tests.replay.samples import replayed

SCENARIOS = [
    ("upstream", "same_gfn"),
    ("upstream", "neighbours"),
    ("upstream", "punch_hole"),
    ("upstream", "two_tds"),
    ("upstream", "teardown"),
    ("dpamt_merged_split", "split"),
    ("dpamt_merged_split", "split_teardown"),
    ("kvm_upstream", "life"),
    ("kvm_upstream", "views_faults"),
]


def trace_of(design: str, scenario: str) -> str:
    """A run of the scenario, as a kernel's trace."""
    build_, steps = schedule(load(design), Checked(design, scenario, Judged.HOLDS), {})
    return written(build_, steps, f"septum: {design}, {scenario}")


@pytest.fixture(scope="module")
def punch() -> list[str]:
    return trace_of("upstream", "punch_hole").splitlines()


def diverges(tmp_path, lines: list[str], **options: object) -> Result:
    result = replayed(tmp_path, "\n".join(lines) + "\n", **options)
    assert result.verdict is Verdict.DIVERGED
    return result


def at(lines: list[str], event: str, number: int = 0) -> int:
    """The index of the n-th line of an event, from the end if negative."""
    return [i for i, line in enumerate(lines) if f": {event}:" in line][number]


@pytest.mark.parametrize(("design", "scenario"), SCENARIOS)
def test_a_run_of_the_model_is_followed(design, scenario, tmp_path):
    text = trace_of(design, scenario)
    result = replayed(tmp_path, text)
    assert result, result.groups
    assert result.followed == sum(not line.startswith("#") for line in text.splitlines())
    assert result.format == "EPT with suppress-#VE"
    assert result.reading.unreadable == 0


def test_a_counterexample_is_written_to_its_end(tmp_path):
    found = check("dpamt_v5_as_posted", "split")
    assert found.counterexample
    build_, steps = schedule(load("dpamt_v5_as_posted"), found, {})
    assert len(steps) == len(found.counterexample.steps)
    assert replayed(tmp_path, written(build_, steps, "a counterexample"))


def test_two_tds_have_a_thread_group_each(tmp_path):
    assert replayed(tmp_path, trace_of("upstream", "two_tds")).vms == "2 by thread group"


def test_the_calls_are_counted_by_leaf(punch, tmp_path):
    result = replayed(tmp_path, "\n".join(punch) + "\n")
    calls = {name: count for name, count in result.steps.items() if "." in name or "TRACK" in name}
    assert calls["remove a page from the TD (PAGE.REMOVE)"] == calls["begin a TLB epoch (TRACK)"] == 1
    assert calls["add a page to the TD (PAGE.AUG)"] == result.steps["map a page"] == 2


@pytest.mark.parametrize(
    ("event", "number", "guard"),
    [
        ("tdh_mem_page_aug", -1, "the SEAMCALL that goes before is missing"),
        ("tdh_mem_sept_add", -1, "the SEAMCALL that goes before is missing"),
        ("tdh_mem_range_block", 0, "the SEAMCALL is not for this entry"),
        ("tdh_mem_track", 0, None),
        ("tdh_mem_page_remove", 0, None),
        ("kvm_tdp_mmu_spte_changed", -1, "a SEAMCALL succeeded, and the change of its SPTE is missing"),
    ],
)
def test_an_event_that_is_missing_is_noticed(event, number, guard, punch, tmp_path):
    """The last page is zapped twice, so that every kind of call is there when one is left out."""
    again = doubled(punch)
    where = at(again, event, number) if number < 0 else at(again, event)
    lines = [*again[:where], *again[where + 1 :]]
    result = diverges(tmp_path, lines)
    if guard:
        assert result.groups[0].first.guard == guard
    assert result.groups[0].first.at.number - 1 >= where


@pytest.mark.parametrize(
    ("event", "pattern", "other", "guard"),
    [
        ("tdh_mem_page_aug", r"gpa=0x0", "gpa=0x1000", "the thread handles a fault of another GFN"),
        ("tdh_mem_page_aug", r"level=0", "level=1", "the S-EPT entry is in another state"),
        ("tdh_mem_page_aug", r"pfn=0x(\w+)", r"pfn=0x1\1", "the fault asked for another PFN"),
        ("tdh_mem_range_block", r"gpa=0x0", "gpa=0x1000", "the SEAMCALL is not for this entry"),
        ("tdh_mem_page_remove", r"gpa=0x0", "gpa=0x1000", "the S-EPT entry is in another state"),
    ],
)
def test_a_call_for_another_entry_is_noticed_at_its_line(event, pattern, other, guard, punch, tmp_path):
    where = at(punch, event)
    lines = [*punch[:where], re.sub(pattern, other, punch[where]), *punch[where + 1 :]]
    found = diverges(tmp_path, lines).groups[0].first
    assert (found.at.number - 1, found.guard) == (where, guard)


def test_a_call_that_was_refused_changes_nothing(punch, tmp_path):
    where = at(punch, "tdh_mem_page_aug")
    busy = punch[where].replace("ret=0x0", "ret=0x8000020000000001")
    result = replayed(tmp_path, "\n".join([*punch[:where], busy, *punch[where:]]) + "\n")
    assert result, result.groups
    assert result.steps["have a SEAMCALL refused"] == 1


def test_write_protection_of_a_mirror_is_noticed(punch, tmp_path):
    where = at(punch, "kvm_mmu_set_spte")
    spte = int(re.search(r"spte (\w+)", punch[where])[1], 16)
    begin = punch[where].partition("kvm_mmu_set_spte")[0]
    change = f"{begin}kvm_tdp_mmu_spte_changed: as id 0 gfn 0 level 1 old_spte {spte:x} new_spte {spte & ~2:x}"
    found = diverges(tmp_path, [*punch[: where + 1], change, *punch[where + 1 :]]).groups[0].first
    assert found.guard == "nobody does that to an entry of a mirror root"


def test_a_kernel_from_7_2_makes_its_calls_before_the_change(punch, tmp_path):
    zapped = at(punch, "tdh_mem_range_block") - 1
    end = at(punch, "tdh_mem_page_remove")
    lines = [*punch[:zapped], *punch[zapped + 1 : end + 1], punch[zapped], *punch[end + 1 :]]
    assert replayed(tmp_path, "\n".join(lines) + "\n", kernel="7.2")
    diverges(tmp_path, lines, kernel="6.18")
    assert diverges(tmp_path, punch, kernel="7.2").groups[0].first.guard == "the SEAMCALL that goes before is missing"


def test_levels_may_be_those_of_kvm(punch, tmp_path):
    lines = [re.sub(r" level=(\d)", lambda found: f" pg_level={int(found[1]) + 1}", line) for line in punch]
    assert replayed(tmp_path, "\n".join(lines) + "\n")


def test_without_the_calls_the_mirror_alone_is_followed(punch, tmp_path):
    lines = [line for line in punch if ": tdh_" not in line]
    assert replayed(tmp_path, "\n".join(lines) + "\n")


def doubled(lines: list[str]) -> list[str]:
    """The hole is punched once more at the end, and the page comes back."""
    begin = at(lines, "tdh_mem_range_block") - 1
    page = re.search(r"old_spte \w+", lines[begin])[0]
    now = re.search(r"new_spte (\w+)", lines[at(lines, "kvm_tdp_mmu_spte_changed", -1)])[1]
    tail = [line.replace(page, f"old_spte {now}").replace(" 100.", " 200.") for line in lines[begin:]]
    return [*lines, *tail]


def test_a_model_without_mirror_tables_has_no_such_trace():
    with pytest.raises(UserError, match="no mirror tables"):
        written(build(retries.model, retries.model.scenarios[0]), (), "nothing")
