"""The states of a small scenario as a graph, for Graphviz: which step leads from where to where, and which states are wrong."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator

from septum.check.trace import at_rest, first_failure
from septum.explore.build import Build
from septum.lang.engine import Engine, Status
from septum.lang.errors import UserError
from septum.lang.types import scope
from septum.page.fields import Fields

MOST = 500
"""A picture of more states shows nothing."""

COLOURS = ("#1f5fa8", "#a15c00", "#18794e", "#6d3fb5", "#b3261e")
Path = tuple[tuple[int, int], ...]


def dot(build: Build) -> str:
    """Every state and every step, none left out; UserError where there are more than MOST states."""
    with scope(build.bindings):
        return _Graph(build).text()


class _Graph:
    def __init__(self, build: Build) -> None:
        self.build, self.fields = build, Fields(build.model.world, build.translation)
        self.numbers: dict[bytes, int] = {}
        self.nodes: list[str] = []
        self.edges: list[str] = []
        self.waiting: deque[tuple[int, Path]] = deque()

    def text(self) -> str:
        self._number(self.build.engine(), ())
        while self.waiting:
            number, path = self.waiting.popleft()
            engine = self._engine(path)
            moves = [(n, c) for n in range(len(engine.threads)) if engine.can_step(n) for c in range(engine.choices(n))]
            for place, move in enumerate(moves):
                engine = engine if place == 0 else self._engine(path)
                label = self._label(engine, *move)
                failed = engine.step(*move) is Status.FAILED
                to = self._failure(engine) if failed else self._number(engine, (*path, move))
                self._edge(number, to, move[0], label)
        title = f"{self.build.model.name}, {self.build.scenario.name}: {len(self.numbers)} states"
        head = [f"digraph septum {{\n  label={_text(title)};", '  node [shape=box, fontname="monospace", fontsize=10];']
        return "\n".join([*head, '  edge [fontname="monospace", fontsize=9];', *self.nodes, *self.edges, "}"]) + "\n"

    def _engine(self, path: Path) -> Engine:
        engine = self.build.engine()
        for move in path:
            engine.step(*move)
        return engine

    def _number(self, engine: Engine, path: Path) -> str:
        """The node of a state; a state that is new waits for its steps to be taken."""
        state = engine.state()
        known = len(self.numbers)
        number = self.numbers.setdefault(state, known)
        if number == known:
            if number >= MOST:
                name = f"{self.build.model.name}, {self.build.scenario.name}"
                raise UserError(f"{name}: more than {MOST} states, which no picture shows; `septum explore` walks through them")
            self._node(engine, number)
            self.waiting.append((number, path))
        return f"s{number}"

    def _node(self, engine: Engine, number: int) -> None:
        failure = first_failure(self.build, engine, at_rest(engine))
        able = any(engine.can_step(n) for n in range(len(engine.threads)))
        lines = [str(number), *self._said(engine.world()), *self._stands(engine)]
        lines += [failure.clause] if failure else [] if able or at_rest(engine) else ["nobody can go on"]
        wrong = bool(failure) or not (able or at_rest(engine))
        look = (
            ', color="#b3261e", penwidth=2'
            if wrong
            else ", peripheries=2"
            if at_rest(engine)
            else ", penwidth=2"
            if not number
            else ""
        )
        self.nodes.append(f"  s{number} [label={_text(chr(10).join(lines))}{look}];")

    def _said(self, world: bytes) -> list[str]:
        """What a small world holds; of a large one the number of the state is all."""
        if not self.fields.few:
            return []
        return [
            f"{one.name} {' '.join(f'{name}={value}' if name and name[0] != '[' else value for name, value in one.cells)}"
            for one in self.fields.groups(world)
        ]

    def _stands(self, engine: Engine) -> Iterator[str]:
        """Where each thread stands."""
        for n, actor in enumerate(engine.threads):
            stack = engine.stack(n)
            at = f"{os.path.basename(stack[-1][1])}:{stack[-1][2]}" if stack else "has ended" if actor.ended else "begins"
            yield f"{actor.thread.name} {at}"

    def _failure(self, engine: Engine) -> str:
        name = f"f{len(self.nodes)}"
        clause = engine.failure.clause if engine.failure else ""
        self.nodes.append(f'  {name} [label={_text(clause)}, shape=octagon, color="#b3261e", penwidth=2];')
        return name

    def _label(self, engine: Engine, thread: int, choice: int) -> str:
        """Who takes a step, and by which choice, if it has several."""
        name = self.build.threads[thread].name
        if engine.stores(thread, choice):
            return f"{name} -> memory"
        return f"{name}, choice {choice}" if engine.choices(thread) - engine.pending(thread) > 1 else name

    def _edge(self, number: int, to: str, thread: int, label: str) -> None:
        colour = COLOURS[thread % len(COLOURS)]
        self.edges.append(f'  s{number} -> {to} [label={_text(label)}, color="{colour}", fontcolor="{colour}"];')


def _text(text: str) -> str:
    """A quoted string of DOT."""
    return json.dumps(text, ensure_ascii=False)
