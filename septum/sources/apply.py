"""A patch of septum's own model, applied to its text: as a maintainer tries a fix of KVM's side."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from septum.check.versions import PACKAGE
from septum.lang.errors import UserError
from septum.sources.series import Hunk, hunks

MODEL = ("host", "tdx", "kvm", "properties", "scenarios", "designs")
"""The rooms of the package that are the model; all else explores and checks it."""

CONTEXT = " -"


def patched(text: str, name: str) -> dict[Path, str]:
    """The files of the model that a unified diff changes, by their paths in the package, each with its text after it.

    `name` is how the patch is called in a UserError: where it does not apply, or changes what is not of the model.
    """
    found: dict[Path, str] = {}
    for hunk in hunks(text):
        path = _path(hunk, name)
        before = found[path] if path in found else (PACKAGE / path).read_text()
        found[path] = "\n".join(_applied(before.split("\n"), hunk, name))
    for path, after in found.items():
        _check_syntax(path, after, name)
    return found


def _path(hunk: Hunk, name: str) -> Path:
    path = Path(hunk.file.removeprefix(f"{PACKAGE.name}/"))
    in_model = path.suffix == ".py" and path.parts[0] in MODEL and ".." not in path.parts
    if not in_model:
        rooms = ", ".join(f"{PACKAGE.name}/{room}" for room in MODEL)
        raise UserError(f"{name}:{hunk.at}: {hunk.file} is no file of the model; a patch may change what lies in {rooms}")
    if not (PACKAGE / path).is_file():
        raise UserError(f"{name}:{hunk.at}: the model has no file {hunk.file}; a patch changes those that there are")
    return path


def _applied(lines: Sequence[str], hunk: Hunk, name: str) -> list[str]:
    """The lines after a hunk, which stands where its head says or, moved, at the nearest place that has its lines."""
    before = [line[1:] for line in hunk.lines if line[0] in CONTEXT]
    after = [line[1:] for line in hunk.lines if line[0] != "-"]
    expected = hunk.line - bool(after)
    places = sorted(range(len(lines) - len(before) + 1), key=lambda at: abs(at - expected))
    fitting = (at for at in places if lines[at : at + len(before)] == before)
    at = next(fitting, None) if before else expected
    if at is None:
        raise UserError(f"{name}:{hunk.at + 1 + _unlike(lines, hunk, expected)}: does not apply to {hunk.file}:{hunk.line}")
    return [*lines[:at], *after, *lines[at + len(before) :]]


def _unlike(lines: Sequence[str], hunk: Hunk, at: int) -> int:
    """The first line of a hunk that is not in the file where the head says."""
    for number, line in enumerate(hunk.lines):
        if line[0] in CONTEXT:
            if lines[at : at + 1] != [line[1:]]:
                return number
            at += 1
    return 0


def _check_syntax(path: Path, text: str, name: str) -> None:
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise UserError(f"{PACKAGE.name}/{path}:{error.lineno}: {error.msg}, with {name} applied") from None
