"""Accesses that are one piece in the kernel, by its names: READ_ONCE() to cmpxchg() of a place, atomic_t, refcount_t, bits.

`READ_ONCE(m.x)`, `WRITE_ONCE(m.x, v)`, `was = xchg(m.x, v)` and `was = cmpxchg(m.x, old, new)` name the place as a plain access
does; the others are given the struct: `atomic_inc(m.count)` of a field `count: atomic_t`. The translator reads the first four as
what `unfolded` makes of them.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from septum.lang.errors import LanguageError
from septum.lang.processes import atomic, piece_begins, piece_ends
from septum.lang.struct import Word
from septum.lang.types import u32, u64


def READ_ONCE(place: Any) -> Any:
    """READ_ONCE(): one load."""
    return place


def WRITE_ONCE(place: Any, value: Any) -> None:
    """WRITE_ONCE(): one store."""
    _store(sys._getframe(1), value)


def xchg(place: Any, value: Any) -> Any:
    """xchg(): stores a value, and gives what was there."""
    _store(sys._getframe(1), value)
    return place


def cmpxchg(place: Any, old: Any, new: Any) -> Any:
    """cmpxchg(): stores a value if another one is there; gives what was there."""
    if place == old:
        _store(sys._getframe(1), new)
    return place


class atomic_t(Word):
    """atomic_t."""

    counter: u32


class refcount_t(Word):
    """refcount_t."""

    refs: u32


class bits_t(Word):
    """An unsigned long of flags."""

    bits: u64


def atomic_read(v):  # type: ignore[no-untyped-def]
    """atomic_read()."""
    return v.counter


def atomic_set(v, i):  # type: ignore[no-untyped-def]
    """atomic_set()."""
    v.counter = i


def atomic_add(i, v):  # type: ignore[no-untyped-def]
    """atomic_add()."""
    atomic("one locked instruction")
    v.counter = v.counter + i


def atomic_sub(i, v):  # type: ignore[no-untyped-def]
    """atomic_sub()."""
    atomic("one locked instruction")
    v.counter = v.counter - i


def atomic_inc(v):  # type: ignore[no-untyped-def]
    """atomic_inc()."""
    atomic("one locked instruction")
    v.counter = v.counter + 1


def atomic_dec(v):  # type: ignore[no-untyped-def]
    """atomic_dec()."""
    atomic("one locked instruction")
    v.counter = v.counter - 1


def atomic_inc_return(v):  # type: ignore[no-untyped-def]
    """atomic_inc_return(): what it is afterwards."""
    atomic("one locked instruction")
    v.counter = v.counter + 1
    return v.counter


def atomic_dec_return(v):  # type: ignore[no-untyped-def]
    """atomic_dec_return(): what it is afterwards."""
    atomic("one locked instruction")
    v.counter = v.counter - 1
    return v.counter


def atomic_fetch_add(i, v):  # type: ignore[no-untyped-def]
    """atomic_fetch_add(): what it was before."""
    atomic("one locked instruction")
    was = v.counter
    v.counter = was + i
    return was


def atomic_dec_and_test(v):  # type: ignore[no-untyped-def]
    """atomic_dec_and_test(): whether it is zero afterwards."""
    atomic("one locked instruction")
    v.counter = v.counter - 1
    return v.counter == 0


def atomic_inc_not_zero(v):  # type: ignore[no-untyped-def]
    """atomic_inc_not_zero(): whether it was not zero, and is one more."""
    atomic("one locked instruction")
    if v.counter == 0:
        return False
    v.counter = v.counter + 1
    return True


def atomic_xchg(v, new):  # type: ignore[no-untyped-def]
    """atomic_xchg(): what it was before."""
    atomic("one locked instruction")
    was = v.counter
    v.counter = new
    return was


def atomic_cmpxchg(v, old, new):  # type: ignore[no-untyped-def]
    """atomic_cmpxchg(): what it was before."""
    atomic("one locked instruction")
    was = v.counter
    if was == old:
        v.counter = new
    return was


def refcount_read(r):  # type: ignore[no-untyped-def]
    """refcount_read()."""
    return r.refs


def refcount_set(r, n):  # type: ignore[no-untyped-def]
    """refcount_set()."""
    r.refs = n


def refcount_inc(r):  # type: ignore[no-untyped-def]
    """refcount_inc(): WARNs of a count that is zero, whose object may be gone."""
    atomic("one locked instruction")
    assert r.refs != 0, "asserts: refcount_t: addition on 0; use-after-free"
    r.refs = r.refs + 1


def refcount_inc_not_zero(r):  # type: ignore[no-untyped-def]
    """refcount_inc_not_zero(): whether it was not zero, and is one more."""
    atomic("one locked instruction")
    if r.refs == 0:
        return False
    r.refs = r.refs + 1
    return True


def refcount_dec(r):  # type: ignore[no-untyped-def]
    """refcount_dec(): WARNs where it comes to zero, as nobody would free."""
    atomic("one locked instruction")
    assert r.refs > 1, "asserts: refcount_t: decrement hit 0; leaking memory"
    r.refs = r.refs - 1


def refcount_dec_and_test(r):  # type: ignore[no-untyped-def]
    """refcount_dec_and_test(): whether it is zero afterwards."""
    atomic("one locked instruction")
    assert r.refs != 0, "asserts: refcount_t: underflow; use-after-free"
    r.refs = r.refs - 1
    return r.refs == 0


def test_bit(nr, flags):  # type: ignore[no-untyped-def]
    """test_bit()."""
    return flags.bits & (u64(1) << (nr & 63)) != 0


def set_bit(nr, flags):  # type: ignore[no-untyped-def]
    """set_bit()."""
    atomic("one locked instruction")
    flags.bits = flags.bits | (u64(1) << (nr & 63))


def clear_bit(nr, flags):  # type: ignore[no-untyped-def]
    """clear_bit()."""
    atomic("one locked instruction")
    flags.bits = (flags.bits | (u64(1) << (nr & 63))) ^ (u64(1) << (nr & 63))


def test_and_set_bit(nr, flags):  # type: ignore[no-untyped-def]
    """test_and_set_bit(): whether it was set before."""
    atomic("one locked instruction")
    was = flags.bits & (u64(1) << (nr & 63)) != 0
    flags.bits = flags.bits | (u64(1) << (nr & 63))
    return was


def test_and_clear_bit(nr, flags):  # type: ignore[no-untyped-def]
    """test_and_clear_bit(): whether it was set before."""
    atomic("one locked instruction")
    was = flags.bits & (u64(1) << (nr & 63)) != 0
    flags.bits = (flags.bits | (u64(1) << (nr & 63))) ^ (u64(1) << (nr & 63))
    return was


# -- what stands in a place that is given by name


PLACED: dict[str, int] = {"READ_ONCE": 1, "WRITE_ONCE": 2, "xchg": 2, "cmpxchg": 3}
"""The words whose first argument is a place, and how many arguments they have."""


HIDDEN = {"piece_begins__": piece_begins, "piece_ends__": piece_ends}
"""Names that only `unfolded` writes."""


def _store(frame: FrameType, value: Any) -> None:
    """Stores a value in the place that is the first argument of the call that runs in `frame`."""
    exec(_assignment(frame.f_code, frame.f_lasti), frame.f_globals, {**frame.f_locals, "value__": value})


@functools.lru_cache(maxsize=1024)
def _assignment(code: CodeType, at: int) -> CodeType:
    """`place = value__`, of the place that the call at this instruction of a function names."""
    line, _, column, _ = list(code.co_positions())[at // 2]
    lines, _ = inspect.findsource(code)
    found = next(
        node
        for node in ast.walk(ast.parse("".join(lines)))
        if isinstance(node, ast.Call) and (node.lineno, node.col_offset) == (line, column)
    )
    place = copy.deepcopy(found.args[0])
    assert isinstance(place, ast.Attribute | ast.Subscript), f"line {line}: {ast.unparse(place)} is no place of the state"
    place.ctx = ast.Store()
    value = ast.Name("value__", ast.Load())
    made = ast.fix_missing_locations(ast.Module([ast.copy_location(ast.Assign([place], value), found)], []))
    return compile(made, code.co_filename, "exec")


def unfolded(tree: ast.FunctionDef, names: dict[str, Any], file: str, lines: tuple[str, ...]) -> ast.FunctionDef:
    """The tree of a function with plain accesses in place of words that name a place; `names` are the globals of the function."""
    known = {name for name in PLACED if names.get(name) is globals()[name]}
    if not known or not any(isinstance(node, ast.Name) and node.id in known for node in ast.walk(tree)):
        return tree
    return _Unfold(known, file, lines).visit(copy.deepcopy(tree))  # type: ignore[no-any-return]


class _Unfold(ast.NodeTransformer):
    def __init__(self, known: set[str], file: str, lines: tuple[str, ...]) -> None:
        self.known, self.file, self.lines = known, file, lines

    def visit_Call(self, node: ast.Call) -> ast.AST:
        word = self._word(node)
        if word is None:
            return self.generic_visit(node)
        if word != "READ_ONCE":
            self._refuse(node, f"{word}() stands in a line of its own", f"was = {ast.unparse(node)}")
        return self.generic_visit(node.args[0])

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.AST]:
        return self._statement(node, node.value, "was__")

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.AST]:
        target = node.targets[0]
        return self._statement(node, node.value, target.id if isinstance(target, ast.Name) else "")

    def _statement(self, node: ast.stmt, value: ast.expr, target: str) -> ast.AST | list[ast.AST]:
        word = self._word(value)
        if word is None or word == "READ_ONCE":
            return self.generic_visit(node)
        assert isinstance(value, ast.Call)
        if not target or (word == "WRITE_ONCE" and not isinstance(node, ast.Expr)):
            self._refuse(value, f"{word}() gives nothing" if word == "WRITE_ONCE" else f"the result of {word}() has no name",
                         ast.unparse(value) if word == "WRITE_ONCE" else f"was = {ast.unparse(value)}")  # fmt: skip
        place, *values = (self.visit(argument) for argument in value.args)
        return list(_placed(word, node, value, target, place, values))

    def _word(self, node: ast.expr) -> str | None:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in self.known:
            return None
        word = node.func.id
        if len(node.args) != PLACED[word] or not isinstance(node.args[0], ast.Attribute | ast.Subscript):
            self._refuse(
                node, f"{word}() takes a place of the state{', and values' if PLACED[word] > 1 else ''}", f"{word}(m.x, ...)"
            )
        return word

    def _refuse(self, node: ast.expr, reason: str, instead: str) -> None:
        raise LanguageError(self.file, node.lineno, self.lines[node.lineno - 1].strip(), reason, instead)


def _placed(
    word: str, node: ast.stmt, value: ast.Call, target: str, place: ast.expr, values: list[ast.expr]
) -> Iterator[ast.stmt]:
    """The statements that stand for one that names a place."""

    def at(made: ast.stmt) -> ast.stmt:
        for part in ast.walk(made):
            ast.copy_location(part, value)
        return ast.copy_location(made, node)

    stored = copy.deepcopy(place)
    stored.ctx = ast.Store()  # type: ignore[attr-defined]
    if word == "WRITE_ONCE":
        yield at(ast.Assign([stored], values[0]))
        return
    store = ast.Assign([stored], values[-1])
    yield at(ast.Expr(ast.Call(ast.Name("piece_begins__", ast.Load()), [], [])))
    yield at(ast.Assign([ast.Name(target, ast.Store())], place))
    if word == "xchg":
        yield at(store)
    else:
        test = ast.Compare(ast.Name(target, ast.Load()), [ast.Eq()], [values[0]])
        yield at(ast.If(test, [store], []))
    yield at(ast.Expr(ast.Call(ast.Name("piece_ends__", ast.Load()), [], [])))
