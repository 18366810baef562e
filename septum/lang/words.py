"""Accesses that are one piece in the kernel and name their place, by its names: READ_ONCE() to cmpxchg(); and barriers.

`READ_ONCE(m.x)`, `WRITE_ONCE(m.x, v)`, `was = xchg(m.x, v)` and the other words of PLACED name the place as a plain access does,
and the translator reads them as what `unfolded` makes of them. Each means what it does on x86: a locked instruction is a full
barrier, and smp_wmb() is none.
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
from septum.lang.memory import drain
from septum.lang.processes import piece_begins, piece_ends


def READ_ONCE(place: Any) -> Any:
    """READ_ONCE(): one load."""
    return place


def WRITE_ONCE(place: Any, value: Any) -> None:
    """WRITE_ONCE(): one store."""
    _store(sys._getframe(1), value)


def xchg(place: Any, value: Any) -> Any:
    """xchg(): stores a value, and gives what was there."""
    _store(sys._getframe(1), value)
    drain()
    return place


def cmpxchg(place: Any, old: Any, new: Any) -> Any:
    """cmpxchg(): stores a value if another one is there; gives what was there."""
    if place == old:
        _store(sys._getframe(1), new)
    drain()
    return place


def smp_store_release(place: Any, value: Any) -> None:
    """smp_store_release(): one store; x86 keeps the order of stores, and of loads before them."""
    _store(sys._getframe(1), value)


def smp_load_acquire(place: Any) -> Any:
    """smp_load_acquire(): one load; x86 keeps the order of loads, and of stores after them."""
    return place


def smp_store_mb(place: Any, value: Any) -> None:
    """smp_store_mb(): a store and a full barrier, an xchg() on x86."""
    _store(sys._getframe(1), value)
    drain()


def try_cmpxchg(place: Any, old: Any, new: Any) -> Any:
    """try_cmpxchg(): stores a value if another one is there; whether it was. `old` stays as it is."""
    found = place == old
    if found:
        _store(sys._getframe(1), new)
    drain()
    return found


def smp_mb() -> None:
    """smp_mb(): a full barrier; the stores before it are in memory before anything after it."""
    drain()


def smp_rmb() -> None:
    """smp_rmb(): loads stay in order, as they do on x86 anyway."""


def smp_wmb() -> None:
    """smp_wmb(): stores stay in order, as they do on x86 anyway."""


def smp_mb__before_atomic() -> None:
    """smp_mb__before_atomic(): nothing on x86, where the atomic operation after it is a full barrier."""


def smp_mb__after_atomic() -> None:
    """smp_mb__after_atomic(): nothing on x86, where the atomic operation before it is a full barrier."""


def smp_mb__after_spinlock() -> None:
    """smp_mb__after_spinlock(): nothing on x86, where taking the lock is a full barrier."""


def smp_mb__after_unlock_lock() -> None:
    """smp_mb__after_unlock_lock(): nothing on x86, where taking the lock is a full barrier."""


def smp_mb__after_srcu_read_unlock() -> None:
    """smp_mb__after_srcu_read_unlock(): nothing, as srcu_read_unlock() is a full barrier."""


def smp_acquire__after_ctrl_dep() -> None:
    """smp_acquire__after_ctrl_dep(): nothing on x86, which keeps the order of loads."""


def barrier() -> None:
    """barrier(): for the compiler alone."""


# -- what stands in a place that is given by name


PLACED: dict[str, int] = {
    "READ_ONCE": 1, "smp_load_acquire": 1, "WRITE_ONCE": 2, "smp_store_release": 2, "smp_store_mb": 2,
    "xchg": 2, "cmpxchg": 3, "try_cmpxchg": 3,
}  # fmt: skip
"""The words whose first argument is a place, and how many arguments they have."""

LOADS, STORES = ("READ_ONCE", "smp_load_acquire"), ("WRITE_ONCE", "smp_store_release", "smp_store_mb")
"""Those of them that are expressions, and those that give nothing."""

BARRIERS = (
    smp_rmb, smp_wmb, smp_mb__before_atomic, smp_mb__after_atomic, smp_mb__after_spinlock, smp_mb__after_unlock_lock,
    smp_mb__after_srcu_read_unlock, smp_acquire__after_ctrl_dep, barrier,
)  # fmt: skip
"""The barriers that do nothing on x86."""


HIDDEN = {"piece_begins__": piece_begins, "piece_ends__": piece_ends, "drain__": smp_mb}
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
        if word not in LOADS:
            self._refuse(node, f"{word}() stands in a line of its own", f"was = {ast.unparse(node)}")
        return self.generic_visit(node.args[0])

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.AST]:
        return self._statement(node, node.value, "was__")

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.AST]:
        target = node.targets[0]
        return self._statement(node, node.value, target.id if isinstance(target, ast.Name) else "")

    def _statement(self, node: ast.stmt, value: ast.expr, target: str) -> ast.AST | list[ast.AST]:
        word = self._word(value)
        if word is None or word in LOADS:
            return self.generic_visit(node)
        assert isinstance(value, ast.Call)
        if not target or (word in STORES and not isinstance(node, ast.Expr)):
            self._refuse(value, f"{word}() gives nothing" if word in STORES else f"the result of {word}() has no name",
                         ast.unparse(value) if word in STORES else f"was = {ast.unparse(value)}")  # fmt: skip
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

    def say(name: str) -> ast.stmt:
        return at(ast.Expr(ast.Call(ast.Name(name, ast.Load()), [], [])))

    stored = copy.deepcopy(place)
    stored.ctx = ast.Store()  # type: ignore[attr-defined]
    store = ast.Assign([stored], values[-1])
    if word in STORES:
        yield at(store)
        if word == "smp_store_mb":
            yield say("drain__")
        return
    yield say("piece_begins__")
    yield say("drain__")
    name = ast.Name(target, ast.Store())
    if word == "try_cmpxchg":
        yield at(ast.Assign([name], ast.Compare(place, [ast.Eq()], [values[0]])))
        yield at(ast.If(ast.Name(target, ast.Load()), [store], []))
    else:
        yield at(ast.Assign([name], place))
        found = ast.Compare(ast.Name(target, ast.Load()), [ast.Eq()], [values[0]])
        yield at(store if word == "xchg" else ast.If(found, [store], []))
    yield say("drain__")
    yield say("piece_ends__")
