"""The C of a function: its statements, and of a process the way into it and out of it at each yield.

A process is called with its frame: `in` is the one that it left, `out` the one that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from septum.lang.frames import Point, Saved
from septum.lang.values import Kind, Nothing, Ref
from septum.translate import tree
from septum.translate.print_expressions import access, c_of, expression, invoke, pointer
from septum.translate.translation import Translation


@dataclass
class Printer:
    """The lines of a function so far; `open` are the loops around, `into` the ways into it."""

    unit: Translation
    function: tree.Function
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    open: list[tree.For] = field(default_factory=list)
    into: list[str] = field(default_factory=list)

    def out(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def label(self, name: str) -> None:
        self.lines.append("    " * (self.depth - 1) + f"{name}:")

    @contextmanager
    def braces(self, head: str) -> Iterator[None]:
        self.out(head + " {")
        self.depth += 1
        yield
        self.depth -= 1
        self.out("}")

    def expression(self, node: tree.Expression) -> str:
        return expression(self.unit, self.function, node)

    def point(self, pause: tree.Pause) -> Point:
        assert self.function.frames
        return self.function.frames.points[pause.number - 1]

    def block(self, body: Iterable[tree.Statement]) -> None:
        paused: tree.Pause | None = None
        for statement in body:
            if paused is None or paused.at.line != statement.at.line:
                covered = self.unit.coverage_point(self.function.source, statement.at.line)
                if covered is not None:
                    self.out(f"model_covered[{covered}] = 1;")
                self.place(statement.at.line)
            STATEMENTS[type(statement)](self, statement)
            paused = statement if isinstance(statement, tree.Pause) else None

    def place(self, line: int) -> None:
        """Where the build measures, says which line of the model runs; a routine that only reads leaves that to its caller."""
        number = self.unit.place(self.function.source, line) if self.function.changes else None
        if number is not None:
            self.out(f"c->place = {number};")


def print_function(unit: Translation, function: tree.Function) -> str:
    """The C of a function."""
    printer = Printer(unit, function)
    entry = unit.entry_meter(function.source)
    if entry is not None:
        printer.out(f"if ({'!in' if function.is_process else '1'}) observe(c, w, {entry[0]}, {entry[1]});")
    printer.block(function.body)
    named = {name: kind for name, kind in function.kinds.items() if not unit.is_world(kind)}
    local = [f"    {c_of(unit, kind)} v_{name} = 0;" for name, kind in named.items() if name not in function.parameters]
    loops = range(function.loops)
    counters = [f"    int64_t i_{number} = 0, n_{number} = 0;" for number in loops]
    unused = [f"    (void)v_{name};" for name in named] + [f"    (void)i_{number}; (void)n_{number};" for number in loops]
    lines = [*local, *counters, *unused, "    (void)c; (void)w;"]
    if function.is_process:
        lines += ["    int rc = 0;", "    (void)rc; (void)in; (void)out;", "    switch (in ? in[0] : 0) {"]
        lines += [
            *printer.into,
            "    default: break;",
            "    }",
            *printer.lines,
            "    c->result = 0;",
            "    return STEP_RETURNED;",
        ]
    else:
        lines += [*printer.lines, *([] if isinstance(function.returns, Nothing) else ["    __builtin_unreachable();"])]
    return "\n".join([signature(unit, function), "{", *lines, "}", ""])


def signature(unit: Translation, function: tree.Function) -> str:
    """The head of a function."""
    result = "int" if function.is_process else c_of(unit, function.returns)
    frame = ["const uint8_t *in", "uint8_t *out"] if function.is_process else []
    given = [f"{c_of(unit, kind)} v_{name}" for name, kind in function.parameters.items() if not unit.is_world(kind)]
    return f"static {result} {function.name}({', '.join(['context_t *c', 'world_t *w', *frame, *given])})"


# -- statements


def _assign(p: Printer, node: tree.Assign) -> None:
    kind = p.function.kinds[node.name]
    if isinstance(kind, Ref):
        if not p.unit.is_world(kind):
            p.out(f"v_{node.name} = {pointer(p.unit, p.function, node.value)};")
    else:
        p.out(f"v_{node.name} = ({c_of(p.unit, kind)})({p.expression(node.value)});")


def _store(p: Printer, node: tree.Store) -> None:
    written, value = access(p.unit, p.function, "WRITE", node), p.expression(node.value)
    if node.value.changes:
        of = c_of(p.unit, node.place.kind)
        p.out(f"{{ {of} value = ({of}){value}; {written} = value; }}")
    else:
        p.out(f"{written} = {value};")


def _evaluate(p: Printer, node: tree.Evaluate) -> None:
    if node.value is None:
        p.out(";")
    else:
        p.out(f"(void){'&' if isinstance(node.value.kind, Ref) else ''}{p.expression(node.value)};")


def _if(p: Printer, node: tree.If) -> None:
    with p.braces(f"if {_bracketed(p.expression(node.test))}"):
        p.block(node.body)
    if node.otherwise:
        with p.braces("else"):
            p.block(node.otherwise)


def _while(p: Printer, node: tree.While) -> None:
    with p.braces(f"while {_bracketed(p.expression(node.test))}"):
        p.out(f"fuel(c, {p.unit.sites.number(node.site)});")
        p.block(node.body)


def _for(p: Printer, node: tree.For) -> None:
    i, bound = f"i_{node.number}", f"(int64_t)({p.expression(node.last)})"
    if tree.constant(node.first) is None or tree.constant(node.last) is None:
        p.out(f"n_{node.number} = {bound};")
        bound = f"n_{node.number}"
    p.open.append(node)
    first = f"(int64_t)({p.expression(node.first)})"
    with p.braces(f"for ({i} = {first}; {i} {'<' if node.step > 0 else '>'} {bound}; {i} += {node.step})"):
        p.out(f"v_{node.name} = ({c_of(p.unit, p.function.kinds[node.name])}){i};")
        p.block(node.body)
    p.open.pop()


def _jump(p: Printer, node: tree.Jump) -> None:
    p.out(f"{node.to};")


def _return(p: Printer, node: tree.Return) -> None:
    code = p.expression(node.value) if node.value else "0"
    reference = node.value is not None and isinstance(node.value.kind, Ref)
    if p.function.is_process:
        result = f"(uint64_t)(uintptr_t)&{code}" if reference else f"(uint64_t)({code})"
        p.out(f"c->result = {result}; return STEP_RETURNED;")
    elif node.value is None:
        p.out("return;")
    else:
        p.out(f"return &{code};" if reference else f"return ({c_of(p.unit, p.function.returns)})({code});")


# -- yields


def _suspend(p: Printer, node: tree.Pause, choices: str = "1") -> None:
    """Leaves the frame, and comes back here; with `probe` only to say how many choices there are."""
    point = p.point(node)
    p.out(f"{_save(point)} return STEP_DONE;")
    _resume(p, point)
    p.out(f"if (c->probe) {{ c->choices = {choices}; return STEP_BLOCKED; }}")


def _resume(p: Printer, point: Point) -> None:
    loads = [_load(p.unit, saved) for saved in point.saved]
    loads += [f"i_{loop.number} = v_{loop.name};" for loop in p.open]
    p.into.append(f"    case {point.number}: {' '.join(loads)} goto L{point.number};")
    p.label(f"L{point.number}")


def _wait(p: Printer, node: tree.Wait) -> None:
    _suspend(p, node)
    p.out(f"if (!{p.expression(node.test)}) return STEP_BLOCKED;")


def _choose(p: Printer, node: tree.Choose) -> None:
    count = p.expression(node.count)
    _suspend(p, node, f"({count}) > 0 ? (uint32_t)({count}) : 1" if node.site else f"(uint32_t)({count})")
    if node.site:
        p.out(f"if (({count}) < 1) fail(c, {p.unit.sites.number(node.site)});")


def _invoke(p: Printer, node: tree.Invoke) -> None:
    point, callee = p.point(node), node.callee
    inner = f"out + {point.end}"
    p.out(f"rc = {invoke(p.unit, p.function, callee, node.arguments, 'NULL', inner)};")
    p.out(f"goto R{point.number};")
    _resume(p, point)
    p.place(node.at.line)
    nothing = ["0" for kind in callee.parameters.values() if not p.unit.is_world(kind)]
    p.out(f"rc = {callee.name}({', '.join(['c', 'w', f'in + {point.end}', inner, *nothing])});")
    p.out("if (c->probe) return STEP_BLOCKED;")
    p.label(f"R{point.number}")
    p.out(f"if (rc == STEP_DONE) {{ {_save(point)} return STEP_DONE; }}")
    p.out("if (rc == STEP_BLOCKED) return STEP_BLOCKED;")


def _load(unit: Translation, saved: Saved) -> str:
    load = f"load{saved.bits}(in + {saved.offset})"
    if isinstance(saved.kind, Ref):
        load = f"({c_of(unit, saved.kind)})(void *)((uint8_t *)w + {load})"
    return f"v_{saved.name} = {load};"


def _save(point: Point) -> str:
    stores = [f"store{one.bits}(out + {one.offset}, {_kept(one.kind, one.bits, f'v_{one.name}')});" for one in point.saved]
    return " ".join([f"out[0] = {point.number};", *stores])


def _kept(kind: Kind, width: int, value: str) -> str:
    return f"(uint{width}_t)((uint8_t *){value} - (uint8_t *)w)" if isinstance(kind, Ref) else value


def _bracketed(code: str) -> str:
    """A condition in one pair of brackets: a second pair around == looks like a mistake to compilers."""
    depth = 0
    for place, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return code if code[0] == "(" and place == len(code) - 1 else f"({code})"
    return f"({code})"


STATEMENTS: Mapping[type[tree.Statement], Callable[[Printer, Any], None]] = {
    tree.Assign: _assign, tree.Store: _store, tree.Evaluate: _evaluate, tree.If: _if, tree.While: _while, tree.For: _for, tree.Jump: _jump, tree.Return: _return,
    tree.Yield: _suspend, tree.Wait: _wait, tree.Choose: _choose, tree.Invoke: _invoke,
}  # fmt: skip
