"""What depends on what in a run of the Python engine: each statement that ran, what it read, and who had written that.

A value depends on the names and the places that the statement which made it read, and on what said which places these are (its
addresses); a place on the statement that wrote it last; a parameter on the argument; a result on the `return` that gave it. A
constant says nothing of itself: it depends on what decided that it was given or returned.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from septum.check.statements import Span, Statement, statements

BEFORE = -1
"""The step in which everything was that the scenario's start wrote."""


@dataclass(eq=False, repr=False, slots=True)
class Access:
    """A scalar that a statement read or wrote: its offset in the world, its value then, in which step, where in the code.

    `number` is its place in the order of the run, `by` the node of the statement, `writer` the one that had written it last. An
    `index` only says which place another access is one to.
    """

    number: int
    offset: int
    value: int
    step: int
    at: tuple[str, str, int] | None
    written: bool
    index: bool
    by: Node
    writer: Node | None


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A statement that ran, or an argument of its call; `step` is the one in which it came to its end.

    `values` and `addresses` are the nodes that gave the names in it, `reads` and `writes` the places. `bound`: the parameters of
    what it calls depend on its arguments, so that it does not. `chosen`: it is a choice of the schedule.
    """

    step: int
    statement: Statement | None = None
    frame: Frame | None = None
    values: set[Node] = field(default_factory=set)
    addresses: set[Node] = field(default_factory=set)
    reads: list[Access] = field(default_factory=list)
    writes: dict[int, Access] = field(default_factory=dict)
    arguments: list[Node] = field(default_factory=list)
    branches: list[Node] = field(default_factory=list)
    bound: bool = False
    chosen: bool = False

    def sources(self) -> Iterator[Node]:
        """The nodes whose value is in the one of this."""
        yield from self.values
        if not self.bound:
            yield from self.arguments

    def read_at_once(self) -> Iterator[Access]:
        """What it read, and what the routines read in the same step that gave the names in it."""
        todo, seen = [self], {self}
        while todo:
            node = todo.pop()
            yield from node.reads
            causes = {one for one in (*node.sources(), *node.deciders()) if one.step == self.step} - seen
            seen |= causes
            todo += causes

    def deciders(self) -> Iterator[Node]:
        """The tests that decided about a local or a result that is a constant; those that came after it in a routine too."""
        if not self.statement or not (self.statement.returns or self.statement.gives) or not constant(self):
            return
        yield from self.branches
        if self.frame and not self.frame.suspends:
            for one in self.statement.deciders:
                yield from self.frame.ran.get(one, ())


def constant(node: Node, seen: frozenset[Node] = frozenset()) -> bool:
    """Nothing that was read, chosen or returned is in its value."""
    if node.reads or node.chosen or node.bound:
        return False
    return all(part in seen or constant(part, seen | {node}) for part in node.sources())


@dataclass(eq=False, repr=False)
class Frame:
    """A call of a function of the model: which node gave each name its value, and each statement's nodes."""

    frame: FrameType
    known: dict[int, Statement]
    names: dict[str, Node] = field(default_factory=dict)
    ran: dict[Statement, list[Node]] = field(default_factory=dict)
    current: Node | None = None

    @property
    def suspends(self) -> bool:
        return bool(self.frame.f_code.co_flags & inspect.CO_GENERATOR)

    def argument(self) -> Node | None:
        """The argument of the current statement's call that is being computed."""
        node = self.current
        if node is None or node.statement is None or not node.arguments:
            return None
        here = _span(self.frame)
        pairs = zip(node.statement.arguments, node.arguments, strict=True)
        return next((made for one, made in pairs if one.span.holds(here)), None)

    def indexes(self) -> bool:
        """An index of the current statement is being computed."""
        if self.current is None or self.current.statement is None or not self.current.statement.indexes:
            return False
        here = _span(self.frame)
        return any(one.holds(here) for one in self.current.statement.indexes)

    def given(self, names: frozenset[str]) -> set[Node]:
        """The nodes that gave these names their values."""
        return {self.names[name] for name in names if name in self.names}


@functools.lru_cache(maxsize=4096)
def _positions(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())


def _span(frame: FrameType) -> Span:
    """The text of what a frame is at."""
    line, end_line, column, end_column = _positions(frame.f_code)[frame.f_lasti // 2]
    return Span((line or 0, column or 0), (end_line or 0, end_column or 0))


class Recorder:
    """Notes what runs inside of `watching()`, and which scalars of the world at `memory` it touches."""

    def __init__(self, files: frozenset[str], own: str) -> None:
        """`files` are those of the model's functions, as their code names them; `own` is the one whose lines say most."""
        self.step, self._files, self._own = BEFORE, files, own
        self.memory = memoryview(b"")
        self.base = 0
        self.last: dict[int, Node] = {}
        self.writes: dict[int, list[int]] = {}
        self.accesses: dict[int, list[Access]] = {}
        self.failed: Node | None = None
        self._raised: BaseException | None = None
        self._numbers = itertools.count()
        self._statements: dict[str, dict[int, Statement]] = {}
        self._frames: dict[FrameType, Frame] = {}
        self._stack: list[Frame] = []
        self._entered: list[FrameType] = []
        self._asked = Node(BEFORE)

    @contextmanager
    def watching(self, step: int) -> Iterator[Node]:
        """What runs inside is part of this step; the node has what is read for what a thread waits for, also by routines."""
        asked = Node(step)
        self.step, self._stack, self._asked, before = step, [], asked, sys.gettrace()
        sys.settrace(self._called)
        try:
            yield asked
        finally:
            sys.settrace(before)
            for frame in self._entered:
                frame.f_trace = None  # Python's collector does not see through the frame of a generator that waits
            self._stack, self._entered, self._asked = [], [], Node(BEFORE)

    def chose(self, frame: FrameType) -> None:
        """What the function waits for is a choice, which is made next."""
        found = self._frames[frame].current
        if found:
            found.chosen = True

    def note(self, address: int, size: int, written: bool) -> None:
        """A scalar is touched."""
        frame = self._stack[-1] if self._stack else None
        node = (frame.current if frame else None) or self._asked
        offset = address - self.base
        value = int.from_bytes(self.memory[offset : offset + size], "little")
        index = bool(frame and frame.indexes())
        last = self.last.get(offset)
        access = Access(next(self._numbers), offset, value, self.step, self._place(), written, index, node, last)
        self.accesses.setdefault(self.step, []).append(access)
        if written:
            node.writes[offset] = access
            self.last[offset] = node
            self.writes.setdefault(offset, []).append(self.step)
        else:
            ((frame.argument() if frame else None) or node).reads.append(access)

    def nodes(self, first: int) -> Iterator[Node]:
        """Those of the statements that ran in this step and in later ones."""
        ran = (node for frame in self._frames.values() for nodes in frame.ran.values() for node in nodes)
        return (node for node in ran if node.step >= first)

    def made(self, first: int) -> Iterator[Access]:
        """The accesses of this step and of later ones."""
        return (access for step, accesses in self.accesses.items() if step >= first for access in accesses)

    def writes_of(self, step: int) -> Iterator[Access]:
        """What a step wrote."""
        for access in self.accesses.get(step, ()):
            if access.written:
                yield access

    def _place(self) -> tuple[str, str, int] | None:
        """Function, file and line that runs: the innermost, or the innermost of the file whose lines say most."""
        if not self._stack:
            return None
        own = (one for one in reversed(self._stack) if one.frame.f_code.co_filename == self._own)
        found = next(own, self._stack[-1]).frame
        return found.f_code.co_name, found.f_code.co_filename, found.f_lineno

    def _called(self, frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        if code.co_filename not in self._files or code.co_name.startswith("<"):
            return None
        known = self._frames.get(frame)
        if known is None:
            if code.co_filename not in self._statements:
                self._statements[code.co_filename] = statements(code.co_filename)
            known = self._frames[frame] = Frame(frame, self._statements[code.co_filename])
            if self._stack:
                self._bind(known, self._stack[-1])
        elif known.current:
            known.current.step = self.step
        self._stack.append(known)
        self._entered.append(frame)
        return self._traced

    def _bind(self, callee: Frame, caller: Frame) -> None:
        """Each parameter depends on its argument."""
        code, node = callee.frame.f_code, caller.current
        if node is None:
            return
        parameters = code.co_varnames[: code.co_argcount]
        inner = caller.argument()
        if inner is None and len(node.arguments) == len(parameters):
            node.bound = True
            callee.names.update(zip(parameters, node.arguments, strict=True))
        else:
            callee.names.update(dict.fromkeys(parameters, inner or node))

    def _traced(self, frame: FrameType, event: str, argument: Any) -> Any:
        state = self._frames[frame]
        if event == "line":
            statement = state.known.get(frame.f_lineno)
            if statement and (state.current is None or state.current.statement is not statement):
                self._run(state, statement)
        elif (
            event == "exception"
            and argument[1] is not self._raised
            and not issubclass(argument[0], StopIteration | GeneratorExit)
        ):
            self.failed, self._raised = state.current, argument[1]
        elif event == "return":
            self._returned(state)
        return self._traced

    def _run(self, state: Frame, statement: Statement) -> None:
        node = Node(self.step, statement, state, state.given(statement.names.values), state.given(statement.names.addresses))
        node.arguments = [
            Node(self.step, None, None, state.given(one.names.values), state.given(one.names.addresses))
            for one in statement.arguments
        ]
        node.branches = [state.ran[one][-1] for one in statement.deciders if one in state.ran]
        state.ran.setdefault(statement, []).append(node)
        state.current = node
        state.names.update(dict.fromkeys(statement.gives, node))

    def _returned(self, state: Frame) -> None:
        self._stack.pop()
        result, caller = state.current, self._stack[-1] if self._stack else None
        if result is None or result.statement is None or not result.statement.returns:
            return
        if caller is None and not state.suspends:
            self._asked.values.add(result)
        if caller is None or not caller.current:
            return
        inner = caller.argument()
        if inner is not None:
            inner.values.add(result)
        elif caller.current.statement and not caller.current.statement.drops_results:
            caller.current.values.add(result)
