"""A patch of the model applies where its lines are, to files of the model alone; what does not is refused with its place."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from septum.check.versions import PACKAGE
from septum.lang.errors import UserError
from septum.sources.apply import patched

BUG, SIGNALS = "kvm/bug.py", "host/signals.py"


def lines(path: str) -> list[str]:
    return (PACKAGE / path).read_text().splitlines(keepends=True)


def diff(path: str, after: list[str], before: list[str] | None = None, context: int = 3) -> str:
    named = f"a/septum/{path}", f"b/septum/{path}"
    return "".join(difflib.unified_diff(before or lines(path), after, *named, n=context))


def changed(path: str, old: str, new: str) -> list[str]:
    text = "".join(lines(path))
    assert old in text
    return text.replace(old, new).splitlines(keepends=True)


AFTER = changed(BUG, "    return EIO\n", "    return EIO  # patched\n")


@pytest.mark.parametrize("context", [0, 1, 3])
def test_the_text_after_it(context: int) -> None:
    assert patched(diff(BUG, AFTER, context=context), "fix") == {Path(BUG): "".join(AFTER)}


def test_lines_that_come_and_go() -> None:
    """Without context, the head of a hunk alone says where they are."""
    head, rest = lines(BUG)[:1], lines(BUG)[1:]
    for after in ([*head, "\n", "MORE = 1\n", *rest], [*head, *rest[2:]]):
        assert patched(diff(BUG, after, context=0), "fix")[Path(BUG)] == "".join(after)


def test_two_files_and_a_series() -> None:
    """A later diff of a file is of what the one before it left."""
    again = [line.replace("# patched", "# twice") for line in AFTER]
    signals = [*lines(SIGNALS), "\n", "\n", "MORE = 1\n"]
    found = patched(diff(BUG, AFTER) + diff(SIGNALS, signals) + diff(BUG, again, AFTER), "fix")
    assert found == {Path(BUG): "".join(again), Path(SIGNALS): "".join(signals)}


def test_lines_that_moved_are_found() -> None:
    older = lines(BUG)[2:]
    moved = diff(BUG, [line.replace("    return EIO\n", "    return EIO  # patched\n") for line in older], older)
    assert patched(moved, "fix") == {Path(BUG): "".join(AFTER)}


OTHERS = ["explore/explorer.c", "check/check.py", "lang/engine.py", "tdx/module.c", "kvm/../check/check.py"]


@pytest.mark.parametrize("file", [*(f"septum/{one}" for one in OTHERS), "docs/found.md", "Makefile"])
def test_what_is_no_model_file_is_refused(file: str) -> None:
    text = f"\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n"
    with pytest.raises(UserError, match=r"^fix:4: .* is no file of the model; a patch may change what lies in septum/host"):
        patched(text, "fix")


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"^fix:3: the model has no file septum/kvm/nothing.py"):
        patched("--- /dev/null\n+++ b/septum/kvm/nothing.py\n@@ -0,0 +1 @@\n+b\n", "fix")


def test_a_patch_that_does_not_apply_is_refused_at_its_first_line_that_differs() -> None:
    text = diff(BUG, AFTER).splitlines(keepends=True)
    wrong = next(number for number, line in enumerate(text) if line.startswith("-    return"))
    text[wrong] = "-    return OK\n"
    with pytest.raises(UserError, match=rf"^fix:{wrong + 1}: does not apply to septum/kvm/bug.py:\d+$"):
        patched("".join(text), "fix")


def test_a_file_that_is_no_python_afterwards_is_refused() -> None:
    with pytest.raises(UserError, match=r"^septum/kvm/bug.py:\d+: .*, with fix applied$"):
        patched(diff(BUG, changed(BUG, "    return EIO\n", "    return (EIO\n")), "fix")


def test_a_file_without_a_hunk_is_refused() -> None:
    with pytest.raises(UserError, match="no hunk"):
        patched("nothing\n", "fix")
