"""`septum sources`: the table, one document, the exit status."""

from __future__ import annotations

import json

import pytest

from septum.cli import main
from tests.sources.small_tree import write


@pytest.fixture
def run(tmp_path, capsys):
    """The command on a tree with these changes: exit status, and what it prints."""

    def command(*changes: tuple[str, str], options: tuple[str, ...] = ()) -> tuple[int, str]:
        tree = write(tmp_path / "tree", *changes, release="7.4")
        status = main(["sources", str(tree), "--hashes", str(tmp_path / "kept"), *options])
        return status, capsys.readouterr().out

    main(["sources", str(write(tmp_path / "7.2")), "--hashes", str(tmp_path / "kept"), "--keep"])
    capsys.readouterr()
    return command


def test_without_a_change_the_status_is_0_and_all_is_told(run):
    status, out = run()
    assert status == 0
    assert "kvm_tdp_mmu_map" in out.partition("\n\n")[0]
    assert (
        "tdp_mmu_unlink_sp, arch/x86/kvm/mmu/tdp_mmu.c:14\n    spin_lock(pages_lock), untrack, spin_unlock(pages_lock)\n" in out
    )
    assert "Functions that the model does not stand for" in out


def test_a_change_is_told_and_the_status_is_1(run):
    status, out = run(("\tspin_unlock(&kvm->pages_lock);\n", ""), options=("--changed",))
    assert status == 1
    assert [line.split("  ")[0] for line in out.partition("\n\n")[0].splitlines()[2:]] == ["tdp_mmu_unlink_sp"]
    assert "changed: locks, calls" in out


def test_a_function_that_cannot_be_read_is_listed(run):
    status, out = run(("return deeper(kvm);", "F(a), , ;"))
    assert status == 0
    assert "Could not be read of 7.4\n  arch/x86/kvm/vmx/tdx.c:13 deep: the parser stumbles" in out


def test_the_document_holds_what_the_table_says_and_more(run):
    status, out = run(("static int tdx_track(", "static int tdx_track_all("), options=("--json",))
    (tree,) = json.loads(out)["trees"]
    found = {entry["name"]: entry for entry in tree["functions"]}
    assert (status, tree["release"], found["tdx_track"]["state"], found["tdx_track"]["renamed"]) == (
        1,
        "7.4",
        "gone",
        "tdx_track_all",
    )
    unlink = found["tdp_mmu_unlink_sp"]
    assert (unlink["state"], unlink["file"], unlink["line"]) == ("there", "arch/x86/kvm/mmu/tdp_mmu.c", 14)
    assert unlink["order"] == ["spin_lock(pages_lock)", "untrack", "spin_unlock(pages_lock)"]
    assert [one["name"] for one in tree["beyond"][0]] == ["tdx_set_entry"]


def test_releases_are_compared_without_a_tree(capsys):
    status = main(["sources", "--json"])
    trees = json.loads(capsys.readouterr().out)["trees"]
    assert status == 1
    assert [tree["release"] for tree in trees] == ["6.12", "7.2", "7.3"]


def test_a_directory_without_a_kernel_is_bad_input(tmp_path, capsys):
    assert main(["sources", str(tmp_path)]) == 2
    assert "no kernel tree" in capsys.readouterr().err


def test_without_the_parser_the_message_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tree_sitter_c", None)
    assert main(["sources", str(write(tmp_path))]) == 2
    assert "pip install 'septum[sources]'" in capsys.readouterr().err
