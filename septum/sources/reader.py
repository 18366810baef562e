"""Functions read from C: what each calls, in the order in which the calls are made, and the locks that it takes.

Brackets split a file into functions and tree-sitter reads each; one that they do not agree on is listed as unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from septum.lang.errors import UserError
from septum.sources.rules import KEYWORDS, TYPE_WORDS, closing, end_of_argument, laid_out, rewritten
from septum.sources.split import Piece, macros, pieces
from septum.sources.tokens import Token, digest, normalised, tokens

LOCK = re.compile(
    r"(?:_*(?:raw_)?(?:spin|read|write|mutex|local|seq)_?(?:try)?(?:un)?lock(?:_(?:irq|irqsave|irqrestore|bh|killable|interruptible|nested|shared))*"
    r"|(?:down|up)_(?:read|write)(?:_(?:trylock|killable|nested))?|(?:rcu|srcu)_read_(?:un)?lock"
    r"|filemap_invalidate_(?:un)?lock(?:_shared)?|(?:scoped_)?guard\(\w+\)|scoped_guard|KVM_MMU_(?:UN)?LOCK"
    r"|(?:cond_resched_rwlock|rwlock_needbreak)\w*|lockdep_assert_\w*held\w*|\w*dec_and_(?:\w+_)?lock|kvm_(?:un)?lock_all_vcpus"
    r"|kvm_(?:try)?lock_all_vcpus|cpus_read_(?:un)?lock)"
)
"""Names of what takes, drops or asks for a lock."""


_DECLARES = re.compile("DEFINE_|DECLARE_")


@dataclass(frozen=True)
class Call:
    """A call: what is called, the last name of its first argument (of its second, if it is a scoped_guard), its line."""

    name: str
    argument: str
    line: int

    @property
    def locks(self) -> bool:
        return LOCK.fullmatch(self.name) is not None

    def __str__(self) -> str:
        return f"{self.name}({self.argument})"


@dataclass(frozen=True)
class Hashes:
    """What stands for a function: of its whole text, of the locks in order, of the calls in order."""

    text: str
    locks: str
    calls: str


@dataclass(frozen=True)
class Function:
    """A function or a macro: where it is, what it calls in order, the names in it, and hashes that stand for its text."""

    name: str
    file: str
    line: int
    last_line: int
    calls: tuple[Call, ...]
    names: frozenset[str] = field(repr=False)
    hashes: Hashes
    macro: bool = False

    @property
    def locks(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.locks)


@dataclass(frozen=True)
class Unread:
    """A function that could not be read: where, and why."""

    name: str
    file: str
    line: int
    why: str


@dataclass
class Contents:
    """What a file holds: functions and macros, those that could not be read, and what is assigned to fields, `.op = name`."""

    functions: list[Function] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)


class Reader:
    """Reads files of C; UserError if tree-sitter is not installed."""

    def __init__(self) -> None:
        try:
            import tree_sitter
            import tree_sitter_c
        except ImportError:
            raise UserError("reading C takes tree-sitter and its grammar: pip install 'septum[sources]'") from None
        language = tree_sitter.Language(tree_sitter_c.language())
        self._parser: Any = tree_sitter.Parser(language)
        self._query: Any = tree_sitter.Query(language, "(call_expression) @call")
        self._cursor: Any = tree_sitter.QueryCursor

    def read(self, source: str, file: str) -> Contents:
        """What a file holds; `file` is what its functions say of where they are."""
        found = tokens(source)
        whole = {piece.place: piece for piece in pieces(found)}
        narrow: dict[int, Piece] | None = None
        contents = Contents(fields=list(_fields(found)))
        for piece in whole.values():
            calls = self._calls(piece)
            if isinstance(calls, str):  # branches of an #if may not stand side by side
                narrow = narrow if narrow is not None else {one.place: one for one in pieces(found, first=True)}
                calls = self._calls(narrow[piece.place]) if piece.place in narrow else calls
            if isinstance(calls, str):
                contents.unread.append(Unread(piece.name, file, piece.line, calls))
            else:
                contents.functions.append(_function(piece, file, calls, found[piece.place : piece.body[-1].place + 1]))
        for piece in macros(found):
            contents.functions.append(_function(piece, file, tuple(named_calls(piece.body)), (*piece.header, *piece.body)))
        return contents

    def _calls(self, piece: Piece) -> tuple[Call, ...] | str:
        """The calls of a function in the order of their evaluation, arguments first; or why it cannot be read."""
        body = rewritten(piece.body)
        root = self._parser.parse(f"void {piece.name}(void)\n{laid_out(body)}".encode()).root_node
        first = piece.body[0].line - 1
        if root.child_count != 1 or root.has_error:
            return f"the parser stumbles in line {first + _stumble(root)}"
        nodes: list[Any] = self._cursor(self._query).captures(root).get("call", [])
        nodes.sort(key=lambda node: node.end_byte)
        inner = {node.child_by_field_name("function").id for node in nodes}
        calls = tuple(_call(node, first) for node in nodes if node.id not in inner)
        known = {name for call in calls for name in re.findall(r"\w+", call.name)}
        named = (word for one in named_calls(body) if not _DECLARES.match(one.name) for word in re.findall(r"\w+", one.name))
        missed = next((name for name in named if name not in known | TYPE_WORDS), "")
        return f"the parser misses the call of {missed}" if missed else calls


def _fields(found: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Fields and the names that are assigned to them; of `.op = macro(name)` the name in brackets."""
    for number, token in enumerate(found[:-4]):
        if token.text == "." and found[number + 2].text == "=" and found[number + 3].kind == "name":
            called = found[number + 4].text == "(" and number + 5 < len(found)
            yield found[number + 1].text, found[number + (5 if called else 3)].text


def _stumble(node: Any) -> int:
    """The row of the first error in a tree."""
    while not (node.is_error or node.is_missing):
        inside = next((child for child in node.children if child.has_error), None)
        if inside is None:
            break
        node = inside
    return int(node.start_point[0])


def _function(piece: Piece, file: str, calls: tuple[Call, ...], whole: Sequence[Token]) -> Function:
    names = frozenset(token.text for token in piece.body if token.kind == "name")
    locks = digest(str(call) for call in calls if call.locks)
    hashes = Hashes(digest(normalised(whole, piece.name)), locks, digest(call.name for call in calls))
    return Function(piece.name, file, piece.line, piece.last_line, calls, names, hashes, piece.macro)


def _call(node: Any, first: int) -> Call:
    function = node.child_by_field_name("function")
    arguments = node.child_by_field_name("arguments")
    name, given = _called(function), arguments.named_children
    first_one = given[name == "scoped_guard" and len(given) > 1 :][:1]
    last = _last_name(first_one[0].text.decode()) if first_one else ""
    return Call(name, last, first + node.start_point[0])


def _called(function: Any) -> str:
    """A function's name; `.field` of one that is found in a struct; `kvm_x86_call(op)` of one that a macro finds."""
    text = re.sub(r"\s+", "", function.text.decode())
    if function.type in ("identifier", "call_expression"):
        return text
    return f".{_last_name(text)}"


def _last_name(text: str) -> str:
    """The last name of an expression outside of brackets: `mmu_lock` of `&vcpu->kvm->mmu_lock`."""
    while True:
        shorter = re.sub(r"\[[^][]*\]|(?<=\w)\s*\([^()]*\)", "", text)
        if shorter == text:
            break
        text = shorter
    found = re.findall(r"[A-Za-z_]\w*", text)
    return found[-1] if found else ""


def named_calls(body: Sequence[Token]) -> Iterator[Call]:
    """What seems to be called, in the order of a text that need not be whole C, as that of a macro."""
    for number, token in enumerate(body[:-1]):
        if token.kind == "name" and body[number + 1].text == "(" and token.text not in KEYWORDS:
            name, start = token.text, number + 2
            end = closing(body, number + 1)
            if end + 1 < len(body) and body[end + 1].text == "(":  # guard(mutex)(&lock): a call of what a macro finds
                name, start = f"{name}({''.join(one.text for one in body[start:end])})", end + 2
            end = end_of_argument(body, start)
            if name == "scoped_guard" and end < len(body) and body[end].text == ",":
                start, end = end + 1, end_of_argument(body, end + 1)
            yield Call(name, _last_name(" ".join(one.text for one in body[start:end])), token.line)
