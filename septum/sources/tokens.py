"""C as tokens: white space and comments do not count, and a preprocessor directive is one token."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

DIGITS = 12

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\r\f\v]|\\\n)+|//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/)
    |(?P<newline>\n)
    |(?P<directive>\#(?:/\*.*?\*/|\\\n|[^\n])*)
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<text>L?"(?:[^"\\\n]|\\.|\\\n)*"|L?'(?:[^'\\\n]|\\.|\\\n)*')
    |(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
    |(?P<sign>\.\.\.|<<=|>>=|->|\+\+|--|&&|\|\||[-+*/%&|^=!<>]=|<<|>>|[^\s])""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A token: its text, the line that it begins in (from 1), and what it is: name, text, number, sign or directive."""

    text: str
    line: int
    kind: str


def tokens(source: str) -> list[Token]:
    """The tokens of a file or a part of one. A `#` begins a directive only where it is the first of its line."""
    found: list[Token] = []
    line, position, first = 1, 0, True
    match = _TOKEN.match
    while position < len(source):
        one = match(source, position)
        assert one is not None
        kind, text = one.lastgroup or "", one.group()
        if kind == "directive" and not first:  # of a macro's body that is read on its own
            kind, text = "sign", "#"
        if kind == "newline":
            line, first = line + 1, True
        elif kind == "space":
            line += text.count("\n")
        else:
            found.append(Token(text, line, kind))
            line += text.count("\n")
            first = False
        position += len(text)
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
