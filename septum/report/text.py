"""Pieces of text below an indentation, in lines of a given width."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

WIDTH = 75
"""The columns of a mail, and of whatever is no terminal."""

LEAST_ROOM = 20
_JOINT = "\N{WORD JOINER}"
"""Stands where a long word may be broken, and goes where it was not."""


@dataclass(frozen=True)
class Item:
    """A piece of text below an indentation; clipped to one line, or wrapped. A `tail` goes on, or below where it does not fit."""

    depth: int
    text: str
    tail: str = ""
    clip: bool = False

    def lines(self, width: int, indent: int = 2) -> list[str]:
        room = width - min(indent * self.depth, max(width - LEAST_ROOM, 0))
        return [" " * (width - room) + line for line in self._texts(room)]

    def _texts(self, room: int) -> list[str]:
        if self.clip:
            return [self.text if len(self.text) <= room else f"{self.text[: room - 3]}..."]
        whole = f"{self.text} {self.tail}" if self.tail else self.text
        if not self.tail or len(whole) <= room:
            return wrapped(whole, room)
        *head, last = wrapped(self.text, room)
        if head and len(last) + 1 + len(self.tail) <= room:
            return [*head, f"{last} {self.tail}"]
        return [*head, last, *(f"  {line}" for line in wrapped(self.tail, room - 2))]


def wrapped(text: str, room: int) -> list[str]:
    """Lines of at most `room` columns. A number stays with its word; a word too long for a line breaks at a dot or a bracket."""
    whole = re.sub(r"(?<=\w) (?=\d)", "\N{NO-BREAK SPACE}", text)
    words = [re.sub(r"(?<=.)(?=\.)|(?<=\()", f" {_JOINT}", word) if len(word) > room - 2 else word for word in whole.split(" ")]
    lines = textwrap.wrap(" ".join(words), room, subsequent_indent="  ", break_on_hyphens=False)
    return [re.sub(rf"(?<=\S) {_JOINT}|{_JOINT}", "", line).replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def paragraph(text: str, depth: int, width: int = WIDTH) -> list[str]:
    """A text, wrapped."""
    return Item(depth, text).lines(width)
