"""Which locals may be read before anything is assigned to them: Python fails there, and C would read something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from septum.translate import tree
from septum.translate.fold import COMPARISONS
from septum.translate.reader import is_value, refuse_at

Assigned = frozenset[str] | None
"""The locals that have a value on every path to a place; None where no path leads."""


def refuse_unassigned(function: tree.Function) -> None:
    """LanguageError where a local of a function may be read before it is assigned; what the scope rules out does not count."""
    _Paths(function).block(function.body, frozenset(function.parameters))


@dataclass
class _Loop:
    breaks: Assigned = None
    turns: Assigned = None


@dataclass
class _Paths:
    function: tree.Function
    loops: list[_Loop] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)  # what a local was given on the way here, where that is plain

    def block(self, body: Iterable[tree.Statement], assigned: Assigned) -> Assigned:
        """What is assigned where a block ends."""
        for statement in body:
            if assigned is None:
                return None
            assigned = self._statement(statement, assigned)
            self._follow_constants(statement)
        return assigned

    def _follow_constants(self, statement: tree.Statement) -> None:
        for name in _given_in(statement):
            self.constants.pop(name, None)
        if isinstance(statement, tree.Assign) and (number := tree.constant(statement.value)) is not None:
            self.constants[statement.name] = number

    def _statement(self, statement: tree.Statement, assigned: frozenset[str]) -> Assigned:
        match statement:
            case tree.If(test=test, body=body, otherwise=otherwise):
                self._read(test, assigned)
                before = dict(self.constants)
                then = self.block(body, assigned)
                self.constants = before
                return _joined(then, self.block(otherwise, assigned))
            case tree.While(test=test, body=body, for_ever=for_ever):
                self._read(test, assigned)
                entered = for_ever or bool(self._known(test))
                end = self._loop(body, assigned)
                loop = self.loops.pop()
                if for_ever:
                    return loop.breaks
                return _joined(_joined(end, loop.turns) if entered else assigned, loop.breaks)
            case tree.For(name=name, first=first, last=last, body=body):
                self._read(first, assigned)
                self._read(last, assigned)
                end = self._loop(body, assigned | {name})
                loop = self.loops.pop()
                return _joined(_joined(end, loop.turns) if self._has_turns(statement) else assigned, loop.breaks)
            case tree.Jump(to=to):
                loop = self.loops[-1]
                if to == "break":
                    loop.breaks = _joined(loop.breaks, assigned)
                else:
                    loop.turns = _joined(loop.turns, assigned)
                return None
            case tree.Return():
                self._read(statement, assigned)
                return None
            case tree.Assign(name=name):
                self._read(statement, assigned)
                return assigned | {name}
        self._read(statement, assigned)
        return assigned

    def _loop(self, body: tuple[tree.Statement, ...], inside: frozenset[str]) -> Assigned:
        """What is assigned where a body ends; the loop is left on top of `loops`."""
        self.loops.append(_Loop())
        for statement in body:
            self._follow_constants(statement)
        return self.block(body, inside)

    def _has_turns(self, loop: tree.For) -> bool:
        """Whether a loop is entered for certain."""
        if loop.over:
            return is_value(loop.over, int(loop.over.none))
        first, last = tree.constant(loop.first), tree.constant(loop.last)
        if first is None or last is None:
            return False
        return first < last if loop.step > 0 else first > last

    def _known(self, node: tree.Expression) -> int | None:
        """What an expression is when it is read here, by what its locals were given."""
        match node:
            case tree.Const(number=number):
                return number
            case tree.Local(name=name):
                return self.constants.get(name)
            case tree.Convert(value=value):
                return self._known(value)
            case tree.Unary(operator="not", value=value):
                known = self._known(value)
                return None if known is None else int(not known)
            case tree.Binary(operator=symbol, left=left, right=right) if symbol in COMPARISONS:
                one, other = self._known(left), self._known(right)
                return None if one is None or other is None else int(COMPARISONS[symbol](one, other))
        return None

    def _read(self, node: tree.Node, assigned: frozenset[str]) -> None:
        for part in tree.walk(node):
            if not isinstance(part, tree.Local | tree.Assertion):
                continue
            names = {part.name} if isinstance(part, tree.Local) else part.shown
            for name in sorted(names - assigned):
                reason = f"{name} may be read before it is assigned"
                refuse_at(self.function.source, part, reason, f"{name} = ... on every path that leads here")


def _given_in(statement: tree.Node) -> Iterator[str]:
    """The locals that a statement gives a value, and those in it."""
    if isinstance(statement, tree.Assign | tree.For):
        yield statement.name
    if isinstance(statement, tree.If | tree.While | tree.For):
        for part in tree.parts(statement):
            yield from _given_in(part)


def _joined(one: Assigned, other: Assigned) -> Assigned:
    if one is None or other is None:
        return other if one is None else one
    return one & other
