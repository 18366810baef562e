"""What became of each function that the model names: planted changes are told, white space and comments are not."""

from __future__ import annotations

import shutil

import pytest

from septum.lang.errors import UserError
from septum.sources.citations import Citation
from septum.sources.compare import Row, State, compare, unknown
from septum.sources.kept import keep, releases
from septum.sources.reach import beyond
from septum.sources.tree import read_tree
from tests.sources.small_tree import write

NAMED = ("is_mirror_sp", "tdp_mmu_unlink_sp", "tdp_mmu_split_huge_page", "kvm_tdp_mmu_map", "tdx_track")
CITATIONS = [Citation(name, "7.1", "kvm/some.py", name, number) for number, name in enumerate(NAMED)]


@pytest.fixture
def kept(tmp_path):
    """The hashes of the small tree, as those of 7.2."""
    keep(read_tree(write(tmp_path / "7.2")), NAMED, tmp_path / "kept")
    return releases(tmp_path / "kept")


@pytest.fixture
def rows(tmp_path, kept):
    """What a release with these changes says."""

    def found(*changes: tuple[str, str], release: str = "7.4", citations=CITATIONS) -> dict[str, Row]:
        tree = read_tree(write(tmp_path / "new", *changes, release=release))
        return {row.name: row for row in compare(tree, citations, kept)}

    return found


def told(rows: dict[str, Row]) -> dict[str, str]:
    """Of those that are not there as they were."""
    return {name: row.told for name, row in rows.items() if row.state is not State.THERE}


def test_a_release_without_a_change_has_all_of_them(rows):
    assert told(rows()) == {}
    assert {row.against for row in rows().values()} == {"7.2"}


@pytest.mark.parametrize(
    ("change", "name", "what"),
    [
        (("\tspin_unlock(&kvm->pages_lock);\n", ""), "tdp_mmu_unlink_sp", "changed: locks, calls"),
        (("&kvm->pages_lock", "&kvm->mmu_lock"), "tdp_mmu_unlink_sp", "changed: locks"),
        (
            ("\tspin_lock(&kvm->pages_lock);\n\tuntrack(page);", "\tuntrack(page);\n\tspin_lock(&kvm->pages_lock);"),
            "tdp_mmu_unlink_sp",
            "changed: calls",
        ),
        (("\trcu_read_unlock();\n", ""), "kvm_tdp_mmu_map", "changed: locks, calls"),
        (("RET_PF_RETRY", "RET_PF_FIXED"), "kvm_tdp_mmu_map", "changed: text"),
        (("make_small_spte(kvm, i)", "make_huge_spte(kvm, i)"), "tdp_mmu_split_huge_page", "changed: calls"),
        (("set_entry)(kvm", "link_entry)(kvm"), "tdp_mmu_split_huge_page", "changed: calls"),
        (("static int tdx_track(", "static int tdx_track_all("), "tdx_track", "gone: now tdx_track_all"),
        (("return seamcall(TRACK,", "if (kvm) switch (x) { CASE(A): } return seamcall(TRACK,"), "tdx_track", "not readable"),
    ],
)  # fmt: skip
def test_a_planted_change_is_told_of_the_function_that_has_it(rows, change, name, what):
    assert told(rows(change)) == {name: what}


@pytest.mark.parametrize(
    "change",
    [
        ("\tuntrack(page);", "\t/* not the last: spin_unlock(&kvm->pages_lock); */\n\n\t  untrack( page )  ; // at last"),
        ("static int tdx_track(struct kvm *kvm)", "static int\ntdx_track(struct kvm  *kvm)"),
        ("#include", "/* one more line */\n#include"),
    ],
)  # fmt: skip
def test_white_space_and_comments_are_no_change(rows, change):
    assert told(rows(change)) == {}


def test_a_function_in_another_file_has_moved(tmp_path, rows):
    source = tmp_path / "new" / "arch/x86/kvm/vmx/tdx.c"
    rows()
    source.rename(source.parent / "tdx_mmu.c")
    (tmp_path / "new/arch/x86/kvm/vmx/tdx.c").unlink(missing_ok=True)
    tree = read_tree(tmp_path / "new")
    (row,) = compare(tree, CITATIONS[-1:], releases(tmp_path / "kept"))
    assert (row.told, row.before) == ("moved", "arch/x86/kvm/vmx/tdx.c")


def test_a_function_that_another_release_had_is_gone_before(rows):
    citations = [
        Citation("tdx_premap", "6.16", "kvm/some.py", "premap", 1),
        Citation("tdx_track", "7.5", "kvm/some.py", "track", 2),
    ]
    assert told(rows(citations=citations)) == {"tdx_premap": "not in 7.2", "tdx_track": "earlier form"}
    assert told(rows(citations=citations, release="7.5")) == {"tdx_premap": "not in 7.2", "tdx_track": "no hash kept"}


def test_of_a_tree_that_is_older_than_what_the_model_names_nothing_is_claimed(rows):
    later = [Citation(one.name, "7.3", one.file, one.function, one.line) for one in CITATIONS]
    assert told(rows(("is_mirror_sp", "is_private_sp"), release="7.1", citations=later)) == {
        "is_mirror_sp": "not yet",
        "tdp_mmu_unlink_sp": "earlier form",
        "tdp_mmu_split_huge_page": "earlier form",
        "kvm_tdp_mmu_map": "earlier form",
        "tdx_track": "earlier form",
    }


def test_a_part_of_a_tree_is_looked_at_as_far_as_it_goes(tmp_path, kept):
    write(tmp_path / "part")
    shutil.rmtree(tmp_path / "part/arch")
    (tmp_path / "part/virt/kvm").mkdir(parents=True)
    assert {row.state for row in compare(read_tree(tmp_path / "part"), CITATIONS, kept)} == {State.NOT_HERE}


def test_what_the_model_does_not_know_is_told_in_order(tmp_path):
    tree = read_tree(write(tmp_path))
    function = tree.function("tdp_mmu_split_huge_page")
    assert [call.name for call in unknown(function, frozenset({"make_small_spte"}))] == [
        "for_each_child",
        "fill",
        "kvm_x86_call(set_entry)",
    ]


def test_functions_beyond_the_model_are_told_by_call_depth_through_operations_too(tmp_path):
    tree = read_tree(write(tmp_path))
    found = beyond(tree, ["kvm_tdp_mmu_map"], frozenset({"is_mirror_sp"}))
    assert [[function.name for function in depth] for depth in found] == [
        ["tdp_mmu_split_huge_page"],
        ["tdx_set_entry"],
        ["deep"],
        ["deeper"],
    ]


def test_a_directory_without_a_kernel_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no kernel tree: it has none of arch/x86/kvm, virt/kvm, arch/x86/virt"):
        read_tree(tmp_path)


def test_hashes_are_kept_only_of_a_release_that_is_named(tmp_path):
    root = write(tmp_path)
    (root / "Makefile").unlink()
    with pytest.raises(UserError, match="has no Makefile that names its release"):
        keep(read_tree(root), NAMED, tmp_path / "kept")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"release": "7.x", "functions": {}}', '{"release": "7.2", "functions": {"f": ["file"]}}', "[]"]
)
def test_a_file_that_holds_no_hashes_is_refused(tmp_path, text):
    (tmp_path / "7.2.json").write_text(text)
    with pytest.raises(UserError, match=r"7\.2\.json: holds no hashes of a release"):
        releases(tmp_path)
