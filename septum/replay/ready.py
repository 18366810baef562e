"""The follower as it was translated once, kept beside compiled models: a start need not translate what has not changed.

What is kept is the C, the places that can fail, and the layout of the world, under a digest of all sources that they come from.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.translate.cache import cache_directory, is_whole, put, scratch

PACKAGE = Path(__file__).parents[1]
SOURCES = ("lang", "translate", "host", "replay")
SCALARS = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}
Layout = list[Any]
"""[bytes of a scalar], ["array", element, length] or ["struct", name, [[field, type], ...]]."""


@dataclass(frozen=True)
class Translated:
    """The C of the follower; for each place that can fail where it is and what it says; the layout of its world."""

    code: str
    sites: list[str]
    layout: Layout


def translated(translate: Callable[[], Translated]) -> Translated:
    """What was kept, or else what `translate` makes, which is kept for the next time."""
    target = cache_directory() / f"{_digest()}.json"
    if is_whole(target):
        return Translated(**json.loads(target.read_text()))
    found = translate()
    try:
        with scratch(target.parent) as directory:
            made = directory / "translated.json"
            made.write_text(json.dumps(found.__dict__))
            put(made, target)
    except OSError:
        pass  # a directory that cannot be written costs the next start the same time, and no more
    return found


def _digest() -> str:
    """A name for all sources that a translation comes from."""
    found = hashlib.sha256()
    for room in SOURCES:
        for directory, below, files in os.walk(PACKAGE / room):
            below[:] = sorted(one for one in below if one != "__pycache__")
            for file in sorted(files):
                with open(os.path.join(directory, file), "rb", buffering=0) as source:
                    found.update(f"{file}\0".encode() + source.read())
    return found.hexdigest()[:32]


def layout_of(kind: Any) -> Layout:
    """The layout of a ctypes type."""
    if issubclass(kind, ctypes.Structure):
        return ["struct", kind.__name__, [[name, layout_of(field)] for name, field, *_ in kind._fields_]]
    if issubclass(kind, ctypes.Array):
        return ["array", layout_of(kind._type_), kind._length_]
    return [ctypes.sizeof(kind)]


def type_of(layout: Layout) -> Any:
    """The ctypes type of a layout."""
    if layout[0] == "struct":
        return type(layout[1], (ctypes.Structure,), {"_fields_": [(name, type_of(field)) for name, field in layout[2]]})
    if layout[0] == "array":
        return type_of(layout[1]) * layout[2]
    return SCALARS[layout[0]]
