"""A kernel tree, or as much of one as there is: every function of the directories that the model is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from septum.lang.errors import UserError
from septum.sources.reader import Function, Reader, Unread

PLACES = ("arch/x86/kvm", "virt/kvm", "arch/x86/virt", "include/linux", "arch/x86/include/asm")
_FILES = ("**/*.[ch]", "**/*.[ch]", "**/*.[ch]", "kvm*.h", "*.h")
_HEADERS = re.compile(r"(?:kvm|tdx).*\.h")
PREFIXES = ("vt_", "vmx_", "tdx_")
"""What the macros of vmx/main.c put before the name of an operation."""


@dataclass
class Tree:
    """What was read: functions by name, those that could not be read, what fields hold, and which places are there."""

    root: Path
    release: str
    places: tuple[str, ...]
    functions: dict[str, list[Function]] = field(default_factory=dict)
    unread: dict[str, Unread] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)

    def has(self, file: str) -> bool:
        """Whether the place that a file belongs to was read."""
        return any(file.startswith(f"{place}/") for place in self.places)

    def function(self, name: str, file: str = "") -> Function | None:
        """The function of that name: in this file if it is there; else the longest, those of AMD's side last."""
        found = self.functions.get(name, [])
        here = [one for one in found if one.file == file]
        return max(here or found, key=lambda one: ("/svm/" not in one.file, one.last_line - one.line), default=None)

    def count(self) -> int:
        return sum(map(len, self.functions.values()))


def read_tree(root: Path) -> Tree:
    """Reads what is there of a kernel tree; UserError if none of its places is."""
    places = tuple(place for place in PLACES if (root / place).is_dir())
    if not set(places) & set(PLACES[:3]):
        raise UserError(f"{root}: no kernel tree: it has none of {', '.join(PLACES[:3])}")
    tree = Tree(root, release_of(root), places)
    reader = Reader()
    for place, files in zip(PLACES, _FILES, strict=True):
        for path in sorted((root / place).glob(files)):
            if path.is_file() and (files != "*.h" or _HEADERS.fullmatch(path.name)):
                _add(tree, reader, path)
    return tree


def release_of(root: Path) -> str:
    """The release that the Makefile of a tree names, as in 7.2; "" if there is no such file."""
    path = root / "Makefile"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    numbers = [re.search(rf"^{name}\s*=\s*(\d+)", text, re.MULTILINE) for name in ("VERSION", "PATCHLEVEL")]
    return ".".join(found[1] for found in numbers if found) if all(numbers) else ""


def ordered(release: str) -> tuple[int, ...]:
    """A release as numbers that can be compared."""
    return tuple(int(part) for part in release.split("."))


def _add(tree: Tree, reader: Reader, path: Path) -> None:
    contents = reader.read(path.read_text(encoding="utf-8", errors="replace"), str(path.relative_to(tree.root)))
    for function in contents.functions:
        tree.functions.setdefault(function.name, []).append(function)
    tree.unread |= {one.name: one for one in contents.unread}
    for name, value in contents.fields:
        tree.fields.setdefault(name, set()).update((value, *(f"{prefix}{value}" for prefix in PREFIXES)))
