"""A design of one's own begins as a file that is the design it was made from."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from septum.check.loading import designs, load
from septum.cli import main
from septum.cli.new import text
from septum.explore.build import build
from septum.kvm.ops import OPERATIONS
from septum.lang.errors import UserError
from septum.lang.model import Model, Thread


@pytest.fixture
def septum(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command: exit status and what it says on standard error."""
    return lambda *arguments: (main(arguments), capsys.readouterr().err)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "mine.py"


@pytest.mark.parametrize("base", sorted(designs()))
def test_of_every_design_every_operation_can_be_copied(base, mine):
    """The copies find all that they use: nothing is missing among the imports."""
    mine.write_text(text("mine", base, tuple(designs()[base].operations)), encoding="utf-8")
    assert load(str(mine)).operations == designs()[base].operations


@pytest.mark.parametrize("base", sorted(designs()))
def test_a_design_that_is_unchanged_is_the_model_that_it_was_made_from(base, mine):
    """In every scenario: what a check is made of is the same, but for the name and for whose lines are counted."""
    mine.write_text(text("mine", base), encoding="utf-8")
    begun, built_in = load(str(mine)), load(base)
    assert replace(begun, name=base, file=built_in.file) == built_in
    assert (begun.name, begun.file) == ("mine", mine)


@pytest.mark.parametrize("base", ["upstream", "dpamt_merged_split", "dpamt_v5"])
def test_copied_operations_are_translated_as_those_that_they_were_copied_from(base, mine):
    mine.write_text(text("mine", base, tuple(designs()[base].operations)), encoding="utf-8")
    assert translated(load(str(mine))) == translated(load(base))


def test_a_design_may_begin_from_one_of_a_file_beside_it(mine, septum, monkeypatch):
    monkeypatch.chdir(mine.parent)
    Path("base.py").write_text(
        text("base", "dpamt_merged", ("topup_external_cache",)).replace("design = ", "ours = ").replace("@design", "@ours")
    )
    status, _ = septum("new", "mine", "--from", "./base.py", "--op", "topup_external_cache", "--op", "free_external_cache")
    assert status == 0
    assert "from base import ours as base\n" in mine.read_text()
    assert translated(load("mine.py")) == translated(load("base.py"))


def test_a_file_that_lies_elsewhere_is_no_base(mine, septum, monkeypatch):
    monkeypatch.chdir(mine.parent)
    Path("other").mkdir()
    Path("other/base.py").write_text(text("base", "dpamt_merged"))
    status, said = septum("new", "mine", "--from", "other/base.py")
    assert (status, "imports what lies beside it, and other/base.py lies in another directory" in said) == (2, True)
    status, said = septum("new", "mine", "--from", "./none.py")
    assert (status, "none.py: no such file" in said, mine.exists()) == (2, True, False)


def translated(model: Model) -> tuple[list[str], tuple[Thread, ...], bytes]:
    """The C of a model, without what counts lines; threads and first world of its first scenario."""
    built = build(model, model.scenarios[0])
    counts = ("model_covered", "#define LINES", "COVERAGE")
    lines = [line for line in built.translation.code.splitlines() if not any(name in line for name in counts)]
    return lines, built.threads, built.world


def test_the_file_says_what_may_be_changed(mine):
    source = text("mine", "dpamt_merged")
    for operation in designs()["dpamt_merged"].operations:
        assert f"#   def {operation}(" in source
    assert not any(f"def {name}(" in source for name in OPERATIONS if name not in designs()["dpamt_merged"].operations)


def test_a_name_is_imported_from_where_it_lives():
    source = text("mine", "dpamt_merged", ("topup_external_cache",))
    assert "from septum.host.pools import OK, kvm_mmu_topup_memory_cache, topup_list\n" in source
    assert "import OK\n" not in source


def test_a_mistake_in_it_is_told_with_its_line(mine):
    source = text("mine", "dpamt_merged", ("topup_external_cache",)).replace(
        "def topup_external_cache(", "def topup_external_cash("
    )
    mine.write_text(source, encoding="utf-8")
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "def topup_external_cash" in text)
    with pytest.raises(
        UserError, match=rf"mine\.py:{line - 1}: topup_external_cash is no operation; did you mean topup_external_cache"
    ):
        load(str(mine))


def test_a_file_that_is_there_is_not_overwritten(septum, mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    assert septum("new", "mine")[0] == 0
    assert septum("new", "mine") == (2, "septum: mine.py is there already; choose another name, or remove it\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["3x"], "3x is no name for a design"),
        (["nowhere/mine"], "there is no directory nowhere"),
        (["mine", "--from", "dpamt_mergd"], "did you mean dpamt_merged?"),
        (["mine", "--op", "topup_external_cash"], "did you mean topup_external_cache?"),
    ],
)
def test_a_wrong_name_writes_no_file(septum, mine, monkeypatch, arguments, message):
    monkeypatch.chdir(mine.parent)
    status, said = septum("new", *arguments)
    assert status == 2
    assert message in said
    assert not list(mine.parent.iterdir())


PATCH = """\
--- a/arch/x86/kvm/vmx/tdx.c
+++ b/arch/x86/kvm/vmx/tdx.c
@@ -10,2 +10,3 @@ static int tdx_new_thing(struct kvm *kvm)
 \tint r;
+\tspin_lock(&kvm->lock);
 \treturn r;
"""


def test_a_patch_is_read_from_a_file_or_from_standard_input(mine, monkeypatch, capsys):
    monkeypatch.chdir(mine.parent)
    (mine.parent / "a.patch").write_text(PATCH)
    assert main(["new", "mine", "--patch", "a.patch"]) == 0
    from_file, said = mine.read_text(), capsys.readouterr().out
    mine.unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO(PATCH))
    assert main(["new", "mine", "--patch", "-"]) == 0
    assert (mine.read_text(), capsys.readouterr().out) == (from_file, said)
    assert "tdx_new_thing(): the model has nothing that stands for it" in said
    assert load(str(mine)).operations == designs()["dpamt_merged"].operations


def test_hunks_that_are_left_out_are_listed(mine, monkeypatch, capsys):
    monkeypatch.chdir(mine.parent)
    label = PATCH.replace("static int tdx_new_thing(struct kvm *kvm)", "out:").partition("\n")[2].partition("\n")[2]
    (mine.parent / "a.patch").write_text(PATCH + label)
    assert main(["new", "mine", "--patch", "a.patch"]) == 0
    said = "not read, since the patch does not say which function it is in (git diff -W does): arch/x86/kvm/vmx/tdx.c:10"
    assert said in capsys.readouterr().out
    assert f"#   {said}" in mine.read_text()


@pytest.mark.parametrize(
    ("patch", "message"),
    [("nothing\n", "holds no hunk of a unified diff"), (None, "a.patch: No such file or directory")],
)
def test_what_is_no_patch_is_bad_input_and_writes_no_file(septum, mine, monkeypatch, patch, message):
    monkeypatch.chdir(mine.parent)
    if patch is not None:
        (mine.parent / "a.patch").write_text(patch)
    status, said = septum("new", "mine", "--patch", "a.patch")
    assert status == 2
    assert message in said
    assert not mine.exists()
