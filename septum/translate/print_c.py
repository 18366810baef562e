"""The C of a function: it computes the same values as Python does, and of a process each yield is a way out and a way in.

An operator is computed in a C type wide enough for its operands and its result, so that nothing wraps. A process is called with
its frame: `in` is the one that it left, `out` the one that it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from septum.lang.frames import Point, Saved
from septum.lang.measure import ANSWERS
from septum.lang.processes import MOST_CHOICES, Meter, Witness
from septum.lang.struct import Word
from septum.lang.values import U64, Kind, Nothing, Num, Ref, bits
from septum.translate import tree
from septum.translate.own_locks import own_name
from septum.translate.reader import bounds
from septum.translate.sites import Named
from septum.translate.translation import Translation, c_field


def print_function(unit: Translation, function: tree.Function) -> str:
    """The C of a function."""
    p = Printer(unit, function)
    entry = unit.entry_meter(function.source)
    if entry is not None:
        p.out(f"if ({'!in' if function.is_process else '1'}) observe(c, w, {entry[0]}, {entry[2]});")
    p.block(function.body)
    named = {name: kind for name, kind in function.kinds.items() if not unit.is_world(kind)}
    lines = [f"    {c_of(unit, kind)} v_{name} = 0;" for name, kind in named.items() if name not in function.parameters]
    lines += [f"    int64_t i_{number} = 0, n_{number} = 0;" for number in range(function.loops)]
    lines += [f"    (void)v_{name};" for name in named]
    lines += [f"    (void)i_{number}; (void)n_{number};" for number in range(function.loops)]
    lines.append("    (void)c; (void)w;")
    if function.is_process:
        lines += ["    int rc = 0;", "    (void)rc; (void)in; (void)out;", "    switch (in ? in[0] : 0) {"]
        lines += [*p.into, "    default: break;", "    }", *p.lines, "    c->result = 0;", "    return STEP_RETURNED;"]
    else:
        lines += [*p.lines, *([] if isinstance(function.returns, Nothing) else ["    __builtin_unreachable();"])]
    return "\n".join([signature(unit, function), "{", *lines, "}", ""])


def signature(unit: Translation, function: tree.Function) -> str:
    """The head of a function."""
    result = "int" if function.is_process else c_of(unit, function.returns)
    frame = ["const uint8_t *in", "uint8_t *out"] if function.is_process else []
    given = [f"{c_of(unit, kind)} v_{name}" for name, kind in function.parameters.items() if not unit.is_world(kind)]
    return f"static {result} {unit.name(function)}({', '.join(['context_t *c', 'world_t *w', *frame, *given])})"


def c_of(unit: Translation, kind: Kind) -> str:
    """The C type of a variable of this kind."""
    if kind not in unit.c_kinds:
        unit.c_kinds[kind] = _c_of(unit, kind)
    return unit.c_kinds[kind]


def _c_of(unit: Translation, kind: Kind) -> str:
    if isinstance(kind, Nothing):
        return "void"
    if isinstance(kind, Ref):
        return f"{unit.c_name(kind.to)} *"
    return f"uint{bits(kind)}_t" if not isinstance(kind, Num) or kind.lo >= 0 else c_type(kind.lo, kind.hi)


def c_type(lo: int, hi: int) -> str:
    """The C type in which a number between lo and hi is computed."""
    if lo >= -(1 << 63) and hi < 1 << 63:
        return "int64_t"
    return "uint64_t" if lo >= 0 and hi <= U64 else "__int128"


def literal(number: int) -> str:
    """A C constant."""
    if -(1 << 31) < number < 1 << 31:
        return str(number)
    if 0 <= number <= U64:
        return f"{number:#x}ull"
    if -(1 << 63) < number < 0:
        return f"((int64_t){number})"
    return f"((__int128)({number >> 64}) * ((__int128)1 << 64) + {number & U64:#x}ull)"


@dataclass
class Printer:
    """The lines of a function so far; `loops` are those around that count, `into` the ways into a process."""

    unit: Translation
    function: tree.Function
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    loops: list[tree.For] = field(default_factory=list)
    into: list[str] = field(default_factory=list)

    # -- expressions

    def c(self, node: tree.Expression) -> str:
        """The C of an expression."""
        match node:
            case tree.Const(number=number):
                return literal(number)
            case tree.Local(name=name, kind=kind):
                return "(*w)" if self.unit.is_world(kind) else f"(*v_{name})" if isinstance(kind, Ref) else f"v_{name}"
            case tree.Field(base=base, name=name):
                return f"{self.c(base)}.{c_field(name)}"
            case tree.Element(base=base, index=index):
                return f"{self.c(base)}.at[{self.c(index)}]"
            case tree.Load():
                return self._access("READ", node)
            case tree.Register(name=name):
                return f"c->{name}"
            case tree.Outcome(kind=kind):
                of = c_of(self.unit, kind)
                return f"(*({of})(uintptr_t)c->result)" if isinstance(kind, Ref) else f"({of})c->result"
            case tree.Unary(operator="not", value=value):
                return f"(!{self.c(value)})"
            case tree.Unary(operator="only", value=value, kind=kind):
                return f"((uint{bits(kind)}_t)1 << {self.c(value)})"
            case tree.Unary(value=value):
                return f"(uint32_t)((const uint8_t *)&{self.c(value)} - (const uint8_t *)w)"
            case tree.Binary():
                return self._binary(node)
            case tree.Junction(operator=operator, parts=parts):
                return f"({(' && ' if operator == 'and' else ' || ').join(map(self.c, parts))})"
            case tree.Conditional():
                return self._conditional(node)
            case tree.Convert(value=value):
                return self.c(value)
            case tree.Limit(of=index):
                return literal(index.limit)
            case tree.Checked():
                return self._checked(node)
            case tree.Call():
                return self._call(node)
            case tree.Assertion(test=test, site=site):
                holds = "holds_not" if site.kind == "warn_on" else "holds"
                return f"{holds}(c, {self.c(test)}, {self.unit.sites.number(site)})"
            case tree.Drain():
                return "drain(c, w)"
        assert isinstance(node, tree.Note)
        return self._note(node)

    def _access(self, how: str, node: tree.Load | tree.Store) -> str:
        """The scalar at a place as it is read ("READ") or written ("WRITE"), with the word that holds it, for who watches."""
        place = node.place
        number = self.unit.named.number(Named(place.at.file, place.at.line, self.function.source.name, node.text))
        if isinstance(place, tree.Field) and isinstance(place.struct, type) and issubclass(place.struct, Word):
            return f"{how}_IN({self.c(place.base)}, {c_field(place.name)}, {number})"
        return f"{how}{'_OWN' if own_name(place) in self.unit.own_locks else ''}({self.c(place)}, {number})"

    def _binary(self, node: tree.Binary) -> str:
        x, y, operator, left, right = self.c(node.left), self.c(node.right), node.operator, node.left.kind, node.right.kind
        if isinstance(left, Ref):
            return f"(&{x} {operator} &{y})"
        if not isinstance(left, Num) or not isinstance(right, Num):
            return f"({x} {operator} {y})"
        (a, b), (c, d) = bounds(left), bounds(right)
        if operator in ("min", "max"):
            of = c_type(min(a, c), max(b, d))
            x, y, less = f"({of})({x})", f"({of})({y})", "<" if operator == "min" else ">"
            if node.changes:
                return f"({{ {of} x_ = {x}, y_ = {y}; x_ {less} y_ ? x_ : y_; }})"
            return f"({x} {less} {y} ? {x} : {y})"
        if operator == ">>" and d > 63:
            return f"shifted_right((uint64_t)({x}), (uint64_t)({y}))"
        lo, hi = bounds(node.kind)
        of = "uint64_t" if operator == "&" and min(a, c) < 0 else c_type(min(a, c, lo), max(b, d, hi))
        return f"(({of})({x}) {operator} ({of})({y}))"

    def _conditional(self, node: tree.Conditional) -> str:
        test, x, y = self.c(node.test), self.c(node.then), self.c(node.otherwise)
        if isinstance(node.kind, Ref):
            return f"(*({test} ? &{x} : &{y}))"
        of = f"({c_type(node.kind.lo, node.kind.hi)})" if isinstance(node.kind, Num) else ""
        return f"({test} ? {of}({x}) : {of}({y}))"

    def _checked(self, node: tree.Checked) -> str:
        code, site = self.c(node.value), self.unit.sites.number(node.site)
        if node.check == "shift":
            return f"shift_count(c, (__int128)({code}), {site})"
        if node.check == "nonzero":
            return f"nonzero(c, (uint64_t)({code}), {site})"
        if node.check == "index":
            return f"bounded(c, {code}, {node.most + 1}, {site})"
        lo, hi = bounds(node.value.kind)
        wide = "_wide" if c_type(lo, hi) == "__int128" or node.most >= U64 else ("" if lo >= 0 else "_signed")
        return f"fit{wide}(c, {code}, {literal(min(node.most, U64))}, {site})"

    def _call(self, node: tree.Call) -> str:
        callee = node.callee
        code = self._invoked(callee, node.arguments)
        if callee.piece:
            code = f"PIECE{'_DONE' if isinstance(callee.returns, Nothing) else ''}({code}, {callee.piece.upper()})"
        return f"(*{code})" if isinstance(node.kind, Ref) else code

    def _invoked(self, callee: tree.Function, arguments: tuple[tree.Expression, ...], *frame: str) -> str:
        """The C of a call; for a process `frame` are the frames that it reads and writes."""
        kinds = zip(callee.parameters.values(), arguments, strict=True)
        given = [f"{'&' if isinstance(kind, Ref) else ''}{self.c(one)}" for kind, one in kinds if not self.unit.is_world(kind)]
        return f"{self.unit.name(callee)}({', '.join(['c', 'w', *frame, *given])})"

    def _note(self, node: tree.Note) -> str:
        if isinstance(node.what, Witness):
            return f"(void)(c->witnesses |= 1ull << {self.unit.witnesses.number(node.what)})"
        if isinstance(node.what, Meter) and node.value and self.unit.measuring:
            return f"observe(c, w, {self.unit.meters.number(node.what)}, (uint64_t)({self.c(node.value)}))"
        if node.what == "atomic" and self.function.is_process:
            return "say_atomic()"
        return f"{node.what}()" if node.what in ("one_piece", "no_piece") else "(void)0"

    # -- statements

    def out(self, line: str) -> None:
        """One more line."""
        self.lines.append("    " * self.depth + line)

    def block(self, body: Iterable[tree.Statement]) -> None:
        """Statements, each with what the build notes of its line; what a yield gives is assigned on the line of the yield."""
        paused: tree.Pause | None = None
        for node in body:
            if paused is None or paused.at.line != node.at.line:
                covered = self.unit.coverage_point(self.function.source, node.at.line)
                if covered is not None:
                    self.out(f"__atomic_store_n(&model_covered[{covered}], 1, __ATOMIC_RELAXED);")
                self._place(node.at.line)
            paused = node if isinstance(node, tree.Pause) else None
            self._statement(node)

    def _place(self, line: int) -> None:
        """Where the build measures, says which line of the model runs; a routine that only reads leaves that to its caller."""
        number = self.unit.place(self.function.source, line) if self.function.changes else None
        if number is not None:
            self.out(f"c->place = {number};")

    def _statement(self, node: tree.Statement) -> None:
        match node:
            case tree.Assign():
                self._assign(node)
            case tree.Store():
                self._store(node)
            case tree.Evaluate(value=None):
                self.out(";")
            case tree.Evaluate(value=tree.Expression() as value):
                self.out(f"(void){'&' if isinstance(value.kind, Ref) else ''}{self.c(value)};")
            case tree.If(test=test, body=body, otherwise=otherwise):
                with self._braces(f"if {_bracketed(self.c(test))}"):
                    self.block(body)
                if otherwise:
                    with self._braces("else"):
                        self.block(otherwise)
            case tree.While(test=test, body=body, site=site):
                with self._braces(f"while {_bracketed(self.c(test))}"):
                    self.out(f"fuel(c, {self.unit.sites.number(site)});")
                    self.block(body)
            case tree.For():
                self._for(node)
            case tree.Jump(to=to):
                self.out(f"{to};")
            case tree.Return():
                self._return(node)
            case tree.Yield():
                self._suspend(node)
            case tree.Wait(test=test):
                self._suspend(node)
                self.out(f"if (!PIECE({self.c(test)}, WAITS)) MUST_WAIT({self._save(self._point(node))});")
            case tree.Choose():
                self._choose(node)
            case tree.Invoke():
                self._invoke(node)

    @contextmanager
    def _braces(self, head: str) -> Iterator[None]:
        self.out(head + " {")
        self.depth += 1
        yield
        self.depth -= 1
        self.out("}")

    def _assign(self, node: tree.Assign) -> None:
        kind = self.function.kinds[node.name]
        if isinstance(kind, Ref) and not self.unit.is_world(kind):
            self.out(f"v_{node.name} = &{self.c(node.value)};")
        elif not isinstance(kind, Ref):
            self.out(f"v_{node.name} = ({c_of(self.unit, kind)})({self.c(node.value)});")

    def _store(self, node: tree.Store) -> None:
        value, of = self.c(node.value), c_of(self.unit, node.place.kind)
        if self.unit.stores:
            self.out(f"{{ {of} value = ({of}){value}; STORE({self.c(node.place)}, value); }}")
            return
        written = self._access("WRITE", node)
        first = f"{of} value = ({of}){value}; {written} = value;"
        self.out(f"{{ {first} }}" if node.value.changes or node.place.changes else f"{written} = {value};")

    def _for(self, node: tree.For) -> None:
        i, bound = f"i_{node.number}", f"(int64_t)({self.c(node.last)})"
        if tree.constant(node.first) is None or tree.constant(node.last) is None:
            self.out(f"n_{node.number} = {bound};")
            bound = f"n_{node.number}"
        self.loops.append(node)
        first, less = f"(int64_t)({self.c(node.first)})", "<" if node.step > 0 else ">"
        with self._braces(f"for ({i} = {first}; {i} {less} {bound}; {i} += {node.step})"):
            if node.site:
                self.out(f"fuel(c, {self.unit.sites.number(node.site)});")
            self.out(f"v_{node.name} = ({c_of(self.unit, self.function.kinds[node.name])}){i};")
            self.block(node.body)
        self.loops.pop()

    def _return(self, node: tree.Return) -> None:
        code = self.c(node.value) if node.value else "0"
        reference = node.value is not None and isinstance(node.value.kind, Ref)
        if self.function.is_process:
            result = f"(uint64_t)(uintptr_t)&{code}" if reference else f"(uint64_t)({code})"
            entry = self.unit.entry_meter(self.function.source)
            answered = f" observe(c, w, {entry[1]}, {entry[2] * ANSWERS} + c->result);" if entry else ""
            self.out(f"c->result = {result};{answered} return STEP_RETURNED;")
        elif node.value is None:
            self.out("return;")
        else:
            self.out(f"return &{code};" if reference else f"return ({c_of(self.unit, self.function.returns)})({code});")

    # -- yields

    def _suspend(self, node: tree.Pause, choices: str = "1") -> None:
        """Leaves the frame, and comes back here; with `probe` only to say how many choices there are."""
        point = self._point(node)
        self.out(f"AT_YIELD({self._save(point)});")
        self._resume(point)
        self.out(f"if (c->probe) {{ c->choices = {choices}; return STEP_BLOCKED; }}")

    def _point(self, pause: tree.Pause) -> Point:
        assert self.function.frames
        return self.function.frames.points[pause.number - 1]

    def _save(self, point: Point) -> str:
        stores = [f"store{saved.bits}(out + {saved.offset}, {_kept(saved)});" for saved in point.saved]
        return " ".join([f"out[0] = {point.number};", *stores])

    def _resume(self, point: Point) -> None:
        loads = []
        for saved in point.saved:
            load = f"load{saved.bits}(in + {saved.offset})"
            if isinstance(saved.kind, Ref):
                load = f"({c_of(self.unit, saved.kind)})(void *)((uint8_t *)w + {load})"
            loads.append(f"v_{saved.name} = {load};")
        loads += [f"i_{loop.number} = v_{loop.name};" for loop in self.loops]
        self.into.append(f"    case {point.number}: {' '.join(loads)} goto L{point.number};")
        self.out(f"L{point.number}:")

    def _choose(self, node: tree.Choose) -> None:
        count = self.c(node.count)
        few = isinstance(node.count.kind, Num) and node.count.kind.hi <= MOST_CHOICES
        possible = f"({count}) >= 1" if few else f"({count}) >= 1 && ({count}) <= {MOST_CHOICES}"
        self._suspend(node, f"{possible} ? (uint32_t)({count}) : 1" if node.site else f"(uint32_t)({count})")
        if node.site:
            self.out(f"if (!({possible})) fail(c, {self.unit.sites.number(node.site)});")

    def _invoke(self, node: tree.Invoke) -> None:
        point, callee = self._point(node), node.callee
        inner = f"out + {point.end}"
        self.out(f"rc = {self._invoked(callee, node.arguments, 'NULL', inner)};")
        self.out(f"goto R{point.number};")
        self._resume(point)
        self._place(node.at.line)
        nothing = ["0" for kind in callee.parameters.values() if not self.unit.is_world(kind)]
        self.out(f"rc = {self.unit.name(callee)}({', '.join(['c', 'w', f'in + {point.end}', inner, *nothing])});")
        self.out("if (c->probe) return STEP_BLOCKED;")
        self.out(f"R{point.number}:")
        self.out(f"if (rc == STEP_DONE) {{ {self._save(point)} return STEP_DONE; }}")
        self.out(f"if (rc == STEP_BLOCKED) MUST_WAIT({self._save(point)});")


def _kept(saved: Saved) -> str:
    value = f"v_{saved.name}"
    return f"(uint{saved.bits}_t)((uint8_t *){value} - (uint8_t *)w)" if isinstance(saved.kind, Ref) else value


def _bracketed(code: str) -> str:
    """A condition in one pair of brackets: a second pair around == looks like a mistake to compilers."""
    depth = 0
    for place, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return code if code[0] == "(" and place == len(code) - 1 else f"({code})"
    return f"({code})"
