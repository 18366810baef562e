"""Which locals may be read before anything is assigned to them: Python fails there, and C would read something else."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from septum.lang.processes import each
from septum.lang.source import MISSING, Source

Assigned = frozenset[str] | None
"""The locals that have a value on every path to a place; None where no path leads."""


def refuse_unassigned(source: Source, parameters: frozenset[str]) -> None:
    """LanguageError where a local of a function may be read before it is assigned; what the scope rules out does not count."""
    targets = {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    _Paths(source, frozenset(targets - parameters)).block(source.tree.body, frozenset())


@dataclass
class _Loop:
    breaks: Assigned = None
    turns: Assigned = None


@dataclass
class _Paths:
    source: Source
    locals: frozenset[str]
    loops: list[_Loop] = field(default_factory=list)
    constants: dict[str, object] = field(default_factory=dict)  # what a local was given on the way here, where that is plain

    def block(self, body: list[ast.stmt], assigned: Assigned) -> Assigned:
        for statement in body:
            if assigned is None:
                return None
            assigned = self._statement(statement, assigned)
            self._follow_constants(statement)
        return assigned

    def _follow_constants(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign([ast.Name(name)], ast.Constant(value)):
                self.constants[name] = value
            case _:
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        self.constants.pop(node.id, None)

    def _statement(self, statement: ast.stmt, assigned: frozenset[str]) -> Assigned:
        match statement:
            case ast.If(test, body, orelse):
                self._read(test, assigned)
                before = dict(self.constants)
                then = self.block(body, assigned)
                self.constants = before
                return _joined(then, self.block(orelse, assigned))
            case ast.While(test, body):
                self._read(test, assigned)
                always, entered = isinstance(test, ast.Constant) and bool(test.value), self._is_entered(test)
                within, after = self._loop(body, assigned, None if always else assigned)
                return _joined(within, self._breaks) if entered and not always else after
            case ast.For(target, iterated, body):
                self._read(iterated, assigned)
                within, after = self._loop(body, assigned | _names(target), assigned)
                return after if not self._has_turns(iterated) else _joined(within, self._breaks)
            case ast.Break():
                self.loops[-1].breaks = _joined(self.loops[-1].breaks, assigned)
                return None
            case ast.Continue():
                self.loops[-1].turns = _joined(self.loops[-1].turns, assigned)
                return None
            case ast.Return(value):
                self._read(value, assigned)
                return None
            case ast.Assign([target], value):
                self._read(value, assigned)
                return self._stored(target, assigned)
            case ast.AugAssign(target, _, value):
                self._read(value, assigned)
                if isinstance(target, ast.Name):
                    self._check(target, assigned)
                return self._stored(target, assigned)
            case ast.AnnAssign(target, _, value):
                self._read(value, assigned)
                return self._stored(target, assigned) if value else assigned
        self._read(statement, assigned)
        return assigned

    def _loop(self, body: list[ast.stmt], inside: frozenset[str], skipped: Assigned) -> tuple[Assigned, Assigned]:
        """What is assigned where the body ends, and behind the loop if it may be skipped."""
        self.loops.append(_Loop())
        for statement in body:
            self._follow_constants(statement)
        end = self.block(body, inside)
        loop = self.loops.pop()
        self._breaks = loop.breaks
        return _joined(end, loop.turns), _joined(skipped, loop.breaks)

    def _is_entered(self, test: ast.expr) -> bool:
        """Whether a condition holds when it is read first, by what its locals were given."""
        names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
        if not names or not names <= self.constants.keys():
            return False
        try:
            return bool(eval(compile(ast.Expression(test), "while", "eval"), {}, self.constants))
        except Exception:
            return False

    def _has_turns(self, iterated: ast.expr) -> bool:
        """Whether a loop over this is entered for certain."""
        if not isinstance(iterated, ast.Call) or not isinstance(iterated.func, ast.Name):
            return False
        if self.source.lookup(iterated.func.id) is each:
            return True
        names = {node.id for node in ast.walk(iterated) if isinstance(node, ast.Name)}
        known = {name: self.source.lookup(name) for name in names - self.locals}
        if len(known) < len(names) or MISSING in known.values():
            return False
        try:
            return len(eval(compile(ast.Expression(iterated), "range", "eval"), {}, known)) > 0
        except Exception:
            return False

    def _stored(self, target: ast.expr, assigned: frozenset[str]) -> frozenset[str]:
        if isinstance(target, ast.Name):
            return assigned | {target.id}
        self._read(target, assigned)
        return assigned

    def _read(self, tree: ast.AST | None, assigned: frozenset[str]) -> None:
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._check(node, assigned)

    def _check(self, node: ast.Name, assigned: frozenset[str]) -> None:
        if node.id in self.locals and node.id not in assigned:
            self.source.refuse(
                node, f"{node.id} may be read before it is assigned", f"{node.id} = ... on every path that leads here"
            )


def _joined(one: Assigned, other: Assigned) -> Assigned:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _names(target: ast.expr) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(target) if isinstance(node, ast.Name))
