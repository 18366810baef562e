"""Places in the source: of a node, of what can fail, of what names a scalar of the state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from septum.lang.processes import property_of


class At(NamedTuple):
    """A place in the source."""

    file: str
    line: int
    column: int = 0


@dataclass(frozen=True)
class Site:
    """A place of the source that can fail: an assertion, or a check of the language itself."""

    kind: str
    message: str
    file: str
    line: int
    text: str
    column: int = 0

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"

    def says(self, clause: str) -> bool:
        """Whether the message, whatever its expressions come to, may be this clause."""
        parts = (re.escape(part) for part in re.split(r"\{[^}]*\}", self.message))
        return re.fullmatch(".*".join(parts), clause, re.DOTALL) is not None

    @property
    def is_assertion(self) -> bool:
        return self.kind in ("assert", "warn_on", "bug_on")

    @property
    def property(self) -> str:
        """The property that an assertion belongs to, by the word before the colon of its message."""
        return property_of(self.message)


@dataclass(frozen=True)
class Named:
    """Where the source names a scalar of the state."""

    file: str
    line: int
    function: str
    text: str
