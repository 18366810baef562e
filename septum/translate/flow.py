"""The flow of control inside a function: which locals are live at each yield, and what may run in the step from there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from septum.translate import tree


@dataclass(eq=False)
class Piece:
    """A piece of a function that runs as a whole: the nodes in `trees`. `pause`: its step ends here.

    `turns`: control goes back from here to the head of a loop that yields.
    """

    trees: tuple[tree.Node, ...] = ()
    defines: str | None = None
    pause: tree.Pause | None = None
    leaves: bool = False
    turns: bool = False
    after: list[Piece] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)


class Flow:
    """The graph of a function's pieces. `falls_through`: control may reach the end of its body."""

    def __init__(self, body: Iterable[tree.Statement]) -> None:
        self.pieces: list[Piece] = []
        self.exit = self._piece(leaves=True)
        self.entry = self._piece()
        self.resumed: dict[tree.Pause, Piece] = {}
        self._futures: dict[Piece, list[Piece]] = {}
        self._loops: list[tuple[Piece, Piece]] = []
        ends = self._block(body, [self.entry])
        self._link(ends, self.exit)
        self._solve()
        self.falls_through = not set(ends).isdisjoint(self.future(self.entry))

    def live_at(self, pause: tree.Pause) -> set[str]:
        """The locals whose value is still needed when the process goes on after a yield."""
        return self.resumed[pause].live

    def region(self, start: Piece, passes: Callable[[tree.Invoke], bool]) -> Iterator[Piece]:
        """What may run from `start` in one step: up to a yield, or a call that does not pass without one."""
        return self._from(
            start, lambda piece: piece.pause is None or (isinstance(piece.pause, tree.Invoke) and passes(piece.pause))
        )

    def future(self, start: Piece) -> Sequence[Piece]:
        """What may ever run from `start`."""
        if start not in self._futures:
            self._futures[start] = [*self._from(start, lambda _: True)]
        return self._futures[start]

    def _from(self, start: Piece, goes_on: Callable[[Piece], bool]) -> Iterator[Piece]:
        seen, todo = {start}, [start]
        while todo:
            piece = todo.pop()
            yield piece
            if goes_on(piece):
                for successor in piece.after:
                    if successor not in seen:
                        seen.add(successor)
                        todo.append(successor)

    def _piece(self, *trees: tree.Node, defines: str | None = None, leaves: bool = False, turns: bool = False) -> Piece:
        uses = {node.name for node in tree.walk(*trees) if isinstance(node, tree.Local)}
        piece = Piece(trees, defines, leaves=leaves, turns=turns, uses=uses)
        self.pieces.append(piece)
        return piece

    def _link(self, before: list[Piece], piece: Piece) -> Piece:
        for one in before:
            one.after.append(piece)
        return piece

    def _block(self, body: Iterable[tree.Statement], before: list[Piece]) -> list[Piece]:
        for statement in body:
            before = self._statement(statement, before)
        return before

    def _statement(self, statement: tree.Statement, before: list[Piece]) -> list[Piece]:
        match statement:
            case tree.If(test=test, body=body, otherwise=otherwise):
                piece = self._link(before, self._piece(test))
                return self._block(body, [piece]) + self._block(otherwise, [piece])
            case tree.While():
                return self._while(statement, before)
            case tree.For():
                return self._for(statement, before)
            case tree.Jump(to=to):
                self._link(before, self._loops[-1][to == "continue"])
                return []
            case tree.Return(value=value):
                piece = self._link(before, self._piece(*([value] if value else [])))
                self._link([piece], self.exit)
                return []
            case tree.Pause():
                return self._pause(statement, before)
            case tree.Assign(name=name, value=value):
                return [self._link(before, self._piece(value, defines=name))]
            case tree.Store() | tree.Evaluate():
                return [self._link(before, self._piece(statement))]
        raise AssertionError(statement)

    def _while(self, loop: tree.While, before: list[Piece]) -> list[Piece]:
        test = self._link(before, self._piece(loop.test))
        done, turn = self._piece(), self._piece(turns=yields(loop))
        turn.after.append(test)
        self._loops.append((done, turn))
        self._link(self._block(loop.body, [test]), turn)
        self._loops.pop()
        if not loop.for_ever:
            test.after.append(done)
        return [done]

    def _for(self, loop: tree.For, before: list[Piece]) -> list[Piece]:
        start = self._link(before, self._piece(loop.first, loop.last, defines=loop.name))
        head, done = self._piece(), self._piece()
        step = self._piece(defines=loop.name, turns=yields(loop))
        step.uses.add(loop.name)
        start.after.append(head)
        head.after.append(done)
        step.after.append(head)
        self._loops.append((done, step))
        self._link(self._block(loop.body, [head]), step)
        self._loops.pop()
        return [done]

    def _pause(self, pause: tree.Pause, before: list[Piece]) -> list[Piece]:
        """A call's arguments are read before the step ends, a condition or a count after."""
        inside = tuple(tree.parts(pause))
        piece = self._link(before, self._piece(*inside))
        resumed = self._piece(*(() if isinstance(pause, tree.Invoke) else inside))
        piece.pause = pause
        piece.trees = inside if isinstance(pause, tree.Invoke) else ()
        piece.after.append(resumed)
        self.resumed[pause] = resumed
        return [resumed]

    def _solve(self) -> None:
        before = defaultdict[Piece, list[Piece]](list)
        for piece in self.pieces:
            for successor in piece.after:
                before[successor].append(piece)
        todo = [*self.pieces]
        while todo:
            piece = todo.pop()
            live = piece.uses | (set().union(*(successor.live for successor in piece.after)) - {piece.defines})
            if live != piece.live:
                piece.live = live
                todo += before[piece]


@tree.fact
def flow(function: tree.Function) -> Flow:
    """The flow of control of a function."""
    return Flow(function.body)


def yields(loop: tree.Statement) -> bool:
    """Whether a loop has a yield inside."""
    return any(isinstance(node, tree.Pause) for node in tree.walk(loop))
