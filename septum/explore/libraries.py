"""The libraries of one unit of C: one that is made quickly, for the first look, and a better one, where exploring lasts."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

from septum.translate.compile import compiled, compiling, is_compiled, load

QUICK = ("-O0", "-fno-sanitize=undefined")  # which zig would add
WATCHED = "WATCHED"
WATCHING = "__thread void *septum_watching;"
"""What a thread watches with: watch.c says why it is in a library of its own."""
PATIENCE = 20
"""A library is asked for a better one so often, while it explores, before that is made: it takes as long as making it saves."""


class Libraries:
    """The libraries by the part of the explorer that is compiled with the model.

    A quick one is made in a third of the time, and takes three times as long to explore: it is for who takes over the better one
    when that is there. `few_states` says that a quick one always pays. Who sets $CFLAGS has one only, made so.
    """

    def __init__(self, code: str, few_states: bool) -> None:
        self.code, self.few_states = code, few_states
        self._loaded: dict[str, ctypes.CDLL] = {}
        self._asked = dict[str, int]()
        self._compiling = dict[str, Callable[[], bool]]()

    def library(self, part: str = "", quick: bool = False) -> ctypes.CDLL:
        """A library with this part; where there is none yet, one that is made well, or quickly."""
        part = self._serving(part)
        if part not in self._loaded:
            self._loaded[part] = self._made(part, quick)
        return self._loaded[part]

    def _serving(self, part: str) -> str:
        """One that tells accesses does so only where it is watched, so it serves for the plain one."""
        return WATCHED if not part and "" not in self._loaded and WATCHED in self._loaded else part

    def _made(self, part: str, quick: bool) -> ctypes.CDLL:
        improves = quick and part in ("", WATCHED) and not self.few_states and not os.environ.get("CFLAGS")
        if improves and not self._is_made(part):
            self._asked[part] = 0
        return _load(self.code, part, self.few_states or part in self._asked)

    def _is_made(self, part: str) -> bool:
        return is_compiled(self.code, _options(part, self.few_states))

    def better(self, part: str = "") -> ctypes.CDLL | None:
        """A better one, once it is there. Who explores asks for it every tenth of a second; when that lasts, it is made."""
        part = self._serving(part)
        if part not in self._asked:
            return None
        self._asked[part] += 1
        if self._asked[part] < PATIENCE:
            return None
        if part not in self._compiling:
            self._compiling[part] = compiling(self.code, _options(part, False))
        if not self._compiling[part]():
            return None
        del self._asked[part]
        if not self._is_made(part):
            return None
        self._loaded[part] = _load(self.code, part, False)
        return self._loaded[part]


def _load(code: str, part: str, quick: bool) -> ctypes.CDLL:
    if part == WATCHED:
        _watching()
    return load(compiled(code, _options(part, quick)))


@functools.cache
def _watching() -> ctypes.CDLL:
    return load(compiled(WATCHING), ctypes.RTLD_GLOBAL)


def _options(part: str, quick: bool) -> tuple[str, ...]:
    return (*(QUICK if quick else ()), *([f"-D{part}"] if part else []))
