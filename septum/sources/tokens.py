"""C as tokens: white space and comments do not count, and a preprocessor directive is one token."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

DIGITS = 12

_TOKEN = re.compile(
    r"""^[ \t]*(?P<directive>\#(?:/\*.*?\*/|\\\n|[^\n])*)|[ \t\r\f\v]*(?:
    (?P<name>[A-Za-z_$][\w$]*)
    |(?P<newline>\n+)
    |(?P<comment>\\\n|//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/)
    |(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
    |(?P<text>"(?:[^"\\\n]|\\.|\\\n)*"|'(?:[^'\\\n]|\\.|\\\n)*')
    |(?P<sign>\.\.\.|<<=|>>=|->|\+\+|--|&&|\|\||[-+*/%&|^=!<>]=|<<|>>|[^\s]))""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class Token(NamedTuple):
    """A token: its text, the line that it begins in (from 1), what it is (name, text, number, sign, directive), its place.

    `first` tells whether it stands in the first column.
    """

    text: str
    line: int
    kind: str
    place: int = 0
    first: bool = False


def tokens(source: str) -> list[Token]:
    """The tokens of a file or a part of one. A `#` begins a directive only where it is the first of its line."""
    found: list[Token] = []
    line = 1
    for one in _TOKEN.finditer(source):
        kind = one.lastgroup or ""
        text = one[kind]
        if kind == "newline":
            line += len(text)
            continue
        if kind != "comment":
            start = one.start(kind)
            found.append(Token(text, line, kind, len(found), start == 0 or source[start - 1] == "\n"))
        if "\n" in text:
            line += text.count("\n")
    return found


def words(directive: str) -> list[str]:
    """The tokens of a directive after its `#`."""
    return [token.text for token in tokens(directive.lstrip()[1:].replace("\\\n", " "))]


def digest(texts: Iterable[str]) -> str:
    """The hash of a sequence of texts."""
    return sha256("\0".join(texts).encode()).hexdigest()[:DIGITS]


def normalised(found: Sequence[Token], name: str) -> list[str]:
    """The texts of a function's tokens with its own name left blank, directives word by word."""
    texts: list[str] = []
    for token in found:
        if token.kind == "directive":
            texts += ["#", *words(token.text)]
        else:
            texts.append("" if token.text == name else token.text)
    return texts
