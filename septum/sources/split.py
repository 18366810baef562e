"""A file of C split into its functions by brackets alone; the parser reads each, and the two must agree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from septum.sources.rules import CLOSING, KEYWORDS, OPENING, attributes, closing, conditionals, unbalanced
from septum.sources.tokens import Token, words

_WITH_ARGUMENTS = re.compile(r"#(?:\s|\\\n)*define(?:\s|\\\n)+\w+\(")


@dataclass(frozen=True)
class Piece:
    """A function's tokens without attributes: its name, its header, its body with the braces. A macro's body has none."""

    name: str
    header: tuple[Token, ...]
    body: tuple[Token, ...]
    macro: bool = False

    @property
    def line(self) -> int:
        return self.header[0].line

    @property
    def place(self) -> int:
        """The place of its first token in the file."""
        return self.header[0].place

    @property
    def last_line(self) -> int:
        return self.body[-1].line if self.body else self.line


def pieces(found: Sequence[Token], first: bool = False) -> list[Piece]:
    """The functions of a file in order. With `first`, only the first branch of each conditional is read.

    A bracket that is closed outside of all belongs to the function before it, which is left unbalanced: the parser says so.
    """
    read = attributes(conditionals(found, first))
    made: list[Piece] = []
    start = number = begun = 0
    while number < len(read):
        token = read[number]
        if token.text == "{":
            end = _end(read, number)
            name = _defined(read[start:number])
            if name:
                made.append(Piece(name, tuple(read[start:number]), tuple(read[number : end + 1])))
                start, begun = end + 1, number
            number = end
        elif token.text in OPENING:
            number = closing(read, number)
            after = read[number + 1] if number + 1 < len(read) else None
            if token.text == "(" and after is not None and _begins_anew(read[start : number + 1], after):
                start = number + 1
        elif token.text == ";" or token.text in CLOSING:
            start = number + 1
            if token.text == "}" and made:
                made[-1] = replace(made[-1], body=tuple(read[begun:start]))
        number += 1
    return made


def _end(read: Sequence[Token], start: int) -> int:
    """Where a block of a file ends: at its bracket; if that is never closed, at one in the first column."""
    end = closing(read, start)
    if end < len(read) - 1 or not unbalanced(read[start:]):
        return end
    return next((number for number in range(start, end) if read[number].first and read[number].text == "}"), end)


def macros(found: Sequence[Token]) -> Iterator[Piece]:
    """The macros of a file that take arguments."""
    for token in found:
        parts = words(token.text) if token.kind == "directive" and _WITH_ARGUMENTS.match(token.text) else []
        if len(parts) > 3:
            inside = [Token(text, token.line, _kind(text)) for text in parts[1:]]
            end = closing(inside, 1)
            yield Piece(parts[1], tuple(inside[: end + 1]), tuple(inside[end + 1 :]), macro=True)


def _kind(text: str) -> str:
    return "name" if text[0].isalpha() or text[0] == "_" else "sign"


def _defined(header: Sequence[Token]) -> str:
    """The function that a header of a block declares; "" if it is none."""
    texts = [token.text for token in header]
    if not texts or texts[-1] != ")" or texts[0] in ("typedef",):
        return ""
    depth = 0
    for number in range(len(texts) - 1, 0, -1):
        depth += (texts[number] in CLOSING) - (texts[number] in OPENING)
        if depth == 0:
            before = header[number - 1]
            outside = _outside(texts[:number])
            return before.text if before.kind == "name" and before.text not in KEYWORDS and "=" not in outside else ""
    return ""


def _outside(texts: Sequence[str]) -> list[str]:
    """What stands in no brackets."""
    depth, found = 0, []
    for text in texts:
        depth += (text in OPENING) - (text in CLOSING)
        if depth == 0:
            found.append(text)
    return found


def _begins_anew(before: Sequence[Token], after: Token) -> bool:
    """Whether a macro without semicolon ends here: `BUILD_ACCESSORS(rax)` in a line of its own, and then another declaration."""
    return after.kind == "name" and len(before) > 1 and before[1].text == "(" and before[-1].line < after.line
