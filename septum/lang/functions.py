"""One function of a model for one choice of argument types: its parameters, its locals, its frames, its C."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from typing import TYPE_CHECKING

from septum.lang import processes
from septum.lang.calls import Calls
from septum.lang.expressions import Value
from septum.lang.flow import Flow
from septum.lang.fold import folded
from septum.lang.source import Source
from septum.lang.statements import c_of
from septum.lang.unassigned import refuse_unassigned
from septum.lang.values import NOTHING, Kind, Nothing, Num, Of, Ref, bits, is_index, stored
from septum.lang.yields import Point, Saved, Yields

if TYPE_CHECKING:
    from septum.lang.translate import Translation


class Instance(Yields):
    """A function translated for the given kinds of its arguments."""

    def __init__(self, unit: Translation, source: Source, name: str, arguments: list[Kind]) -> None:
        self.unit, self.source, self.name = unit, folded(source), name
        self.is_process = processes.is_process(source.function)
        if self.is_process and not inspect.isgeneratorfunction(source.function):
            source.refuse(source.tree, f"the process {source.name} has no yield", "a routine: leave @process out")
        self.parameters = self._parameters(arguments)
        self.kinds = dict(self.parameters)
        self.annotated: dict[str, Kind] = {}
        self.returns: Kind = NOTHING
        self.changes = self.reads = self.is_process
        self.points: list[Point] = []
        self.calls: dict[ast.YieldFrom, Instance] = {}
        self._names = local_names(self.source.tree)
        refuse_unassigned(self.source, frozenset(self.parameters))
        self._translate()

    # -- what the callers need

    def invoke(self, caller: Calls, node: ast.AST, arguments: list[Value], *frame: str) -> str:
        """The C of a call, by its caller; for a process `frame` are the frames it reads and writes."""
        codes = []
        for (name, kind), value in zip(self.parameters.items(), arguments, strict=True):
            if isinstance(kind, Ref) and kind.to is self.unit.world:
                continue
            codes.append(f"&{value.code}" if isinstance(kind, Ref) else caller.convert(node, value, kind, f"parameter {name}"))
        return f"{self.name}({', '.join(['c', 'w', *frame, *codes])})"

    def resume(self, *frame: str) -> str:
        """The C that continues a process whose frame is saved."""
        nothing = ["0" for kind in self.parameters.values() if not (isinstance(kind, Ref) and kind.to is self.unit.world)]
        return f"{self.name}({', '.join(['c', 'w', *frame, *nothing])})"

    @property
    def frame_size(self) -> int:
        """Bytes of the largest frame, with those of the processes called."""
        return max((point.end + (point.callee.frame_size if point.callee else 0) for point in self.points), default=1)

    @functools.cached_property
    def called(self) -> frozenset[str]:
        """The names of the C functions that its C calls."""
        return frozenset(re.findall(r"\bf\d+_\w+", self.text))

    def is_local(self, name: str) -> bool:
        return name in self._names

    # -- from parameters to C

    def _parameters(self, arguments: list[Kind]) -> dict[str, Kind]:
        tree = self.source.tree
        names = [argument.arg for argument in tree.args.args]
        if tree.args.vararg or tree.args.kwarg or tree.args.kwonlyargs or tree.args.defaults or tree.args.posonlyargs:
            self.source.refuse(tree, "only plain parameters are in the language", "def name(m, a, b)")
        if len(names) != len(arguments):
            self.source.refuse(tree, f"{self.source.name} takes {len(names)} arguments and is called with {len(arguments)}")
        annotations = inspect.get_annotations(self.source.function, eval_str=True)
        kinds = {}
        for name, given in zip(names, arguments, strict=True):
            declared = self._declared(tree, annotations[name]) if name in annotations else stored(given)
            kinds[name] = self._accepted(name, declared, given)
        return kinds

    def _accepted(self, name: str, declared: Kind, given: Kind) -> Kind:
        fits = (
            declared == given
            or (isinstance(declared, Num) and isinstance(given, Num))
            or (is_index(declared) and isinstance(given, Num))
        )
        if isinstance(declared, Num) and isinstance(given, Of) and not is_index(given):
            fits = True
        if not fits:
            self.source.refuse(
                self.source.tree, f"parameter {name} is {declared} and is given {given}", "an argument of that type"
            )
        return declared

    def _translate(self) -> None:
        self._passes = 0
        while True:
            before = (dict(self.kinds), self.returns, self.changes, self.reads)
            self._one_pass()
            self._passes += 1
            stands = before == (self.kinds, self.returns, self.changes, self.reads)
            if stands and (self.flow or not self.is_process):
                break
            if self.is_process:
                self._lay_out_frames()
        if not isinstance(self.returns, Nothing) and may_fall_through(self.source.tree.body):
            self.source.refuse(
                self.source.tree,
                f"{self.source.name} returns {self.returns} on some paths and nothing on others",
                "a return on every path",
            )
        self.text = self._function()

    def _one_pass(self) -> None:
        self._lines: list[str] = []
        self._depth, self._loop_number = 1, 0
        self._loops: list[tuple[str, str] | None] = []
        self._fresh: list[Point] = []
        self.places, self.invoked, self.stores, self.updates = {}, {}, set(), set()
        self.bound, self.returned, self.distinctions = [], [], []
        entry = self.unit.entry_meter(self.source)
        if entry is not None:
            self.out(f"if ({'!in' if self.is_process else '1'}) {entry};")
        self._block(self.source.tree.body)
        if not self.points or len(self._fresh) != len(self.points):
            self.points = self._fresh

    def _lay_out_frames(self) -> None:
        if len(self.points) > 254:
            self.source.refuse(self.source.tree, f"{len(self.points)} yields in one process", "several processes")
        self.flow = Flow(self.source.tree.body, set(self.kinds))
        for point in self.points:
            offset, saved = 1, []
            for name in sorted(self.flow.live_at(point.node)):
                kind = self.kinds[name]
                if isinstance(kind, Ref) and kind.to is self.unit.world:
                    continue
                if isinstance(kind, Num) and kind.bits_of and not kind.packed:
                    self.source.refuse(
                        point.node,
                        f"{name} holds the bits of a {kind.bits_of} across a yield",
                        f"annotate it with the packed type or use {kind.bits_of}(...)",
                    )
                width = self.unit.reference_bits if isinstance(kind, Ref) else bits(kind)
                saved.append(Saved(name, kind, offset, width))
                offset += width // 8
            point.saved, point.end = tuple(saved), offset

    def _function(self) -> str:
        result = "int" if self.is_process else c_of(self.unit, self.returns)
        frame = ["const uint8_t *in", "uint8_t *out"] if self.is_process else []
        parameters = [f"{c_of(self.unit, kind)} v_{name}" for name, kind in self.parameters.items() if not self._is_world(kind)]
        self.signature = f"static {result} {self.name}({', '.join(['context_t *c', 'world_t *w', *frame, *parameters])})"
        local = [f"    {c_of(self.unit, kind)} v_{name} = 0;" for name, kind in self.kinds.items()
                 if name not in self.parameters and not self._is_world(kind)]  # fmt: skip
        counters = [f"    int64_t i_{number} = 0, n_{number} = 0;" for number in range(self._loop_number)]
        unused = [f"    (void)v_{name};" for name, kind in self.kinds.items() if not self._is_world(kind)]
        unused += [f"    (void)i_{number}; (void)n_{number};" for number in range(self._loop_number)] + ["    (void)c; (void)w;"]
        lines = [*local, *counters, *unused, *(self._dispatch() if self.is_process else []), *self._lines]
        if self.is_process:
            lines += ["    c->result = 0;", "    return STEP_RETURNED;"]
        elif not isinstance(self.returns, Nothing):
            lines += ["    __builtin_unreachable();"]
        return "\n".join([self.signature, "{", *lines, "}", ""])

    def _dispatch(self) -> list[str]:
        lines = ["    int rc = 0;", "    (void)rc; (void)in; (void)out;", "    switch (in ? in[0] : 0) {"]
        for point in self.points:
            loads = [self._load(saved) for saved in point.saved]
            loops = [f"i_{number} = v_{variable};" for number, variable in point.loops]
            lines.append(f"    case {point.number}: {' '.join([*loads, *loops])} goto L{point.number};")
        return [*lines, "    default: break;", "    }"]


def local_names(tree: ast.FunctionDef) -> set[str]:
    """The names that a function binds: its parameters and what it assigns."""
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return bound | {argument.arg for argument in tree.args.args}


def may_fall_through(body: list[ast.stmt]) -> bool:
    """Whether control may reach the end of a block."""
    for statement in body:
        if isinstance(statement, ast.Return | ast.Break | ast.Continue):
            return False
        if (
            isinstance(statement, ast.If)
            and not may_fall_through(statement.body)
            and statement.orelse
            and not may_fall_through(statement.orelse)
        ):
            return False
        if (
            isinstance(statement, ast.While)
            and isinstance(statement.test, ast.Constant)
            and statement.test.value
            and not _breaks(statement)
        ):
            return False
    return True


def _breaks(loop: ast.While) -> bool:
    todo: list[ast.AST] = list(loop.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Break):
            return True
        if not isinstance(node, ast.While | ast.For):
            todo += ast.iter_child_nodes(node)
    return False
