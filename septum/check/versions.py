"""What a verdict is about, by content: hashes of the model and of a design, so that a reader can tell whether they changed."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from septum.lang.model import Model

PACKAGE = Path(__file__).parents[1]
ROOMS = ("lang", "host", "tdx", "kvm", "scenarios", "properties")
DIGITS = 12

PATCH = PACKAGE / "applied.patch"
"""The patch of a copy of septum whose model has one (cli/patched): how it was named, in a line, then its text."""


@functools.cache
def patch_applied() -> tuple[str, bytes]:
    """How the patch of the model was named, and two bytes that tell it from others; "" and none without one."""
    if not PATCH.is_file():
        return "", b""
    name, _, text = PATCH.read_text(encoding="utf-8").partition("\n")
    return name, hashlib.sha256(text.encode()).digest()[:2]


def model_version() -> str:
    """The hash of everything that a design stands on: the language, the host, the TDX module, KVM, scenarios, properties."""
    return _digest(path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*")) if path.suffix in (".py", ".c", ".h"))


def design_version(model: Model) -> str:
    """The hash of the file of a design, or of a model of one's own, and of the files that it is made from but for the model's."""
    return _digest(design_files(model))


def design_files(model: Model) -> list[Path]:
    """The files that hold the functions of a design, its own first."""
    files = dict.fromkeys([model.file] if model.file else [])
    used = (value for one in model.scenarios for value in getattr(one.start, "__globals__", {}).values())
    for function in (*model.bindings.values(), *used):
        code = getattr(function, "__code__", None)
        if code is not None:
            files[Path(code.co_filename)] = None
    return [path for path in files if path.is_file() and not _in_model(path)]


def _in_model(path: Path) -> bool:
    return path.is_relative_to(PACKAGE) and not path.is_relative_to(PACKAGE / "designs")


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:DIGITS]
