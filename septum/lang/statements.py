"""Statements: control flow as it stands, assignments with their checks."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from septum.lang.calls import Calls, message_of
from septum.lang.expressions import Static, Value, c_type
from septum.lang.flow import yield_in
from septum.lang.struct import resolve
from septum.lang.symbols import Symbol
from septum.lang.types import Array, Scalar
from septum.lang.values import NOTHING, U64, Kind, Nothing, Num, Of, Ref, bits, is_index, is_set, join, kind_of, stored

if TYPE_CHECKING:
    from septum.lang.translate import Translation

PASSES_BEFORE_WIDENING = 4


class Statements(Calls):
    """Translates the statements of a function; run again until the kinds of its locals stand."""

    name: str
    is_process: bool
    returns: Kind
    parameters: dict[str, Kind]
    annotated: dict[str, Kind]
    changes: bool
    reads: bool
    stores: set[ast.AST]
    updates: set[ast.AST]
    bound: list[tuple[str, Symbol | None]]
    returned: list[Symbol | None]
    _passes: int
    _depth: int
    _loop_number: int
    _lines: list[str]
    _loops: list[tuple[str, str] | None]

    def _yield_point(self, node: ast.Yield | ast.YieldFrom, target: ast.Name | None, returned: bool = False) -> Value:
        raise NotImplementedError

    def _is_world(self, kind: Kind) -> bool:
        return isinstance(kind, Ref) and kind.to is self.unit.world

    def _declared(self, node: ast.AST, annotation: object) -> Kind:
        of = resolve(annotation, f"{self.source.file}:{getattr(node, 'lineno', 0)}")
        return kind_of(of) if isinstance(of, Scalar) else Ref(of)

    def out(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)

    @contextmanager
    def _braces(self, head: str) -> Iterator[None]:
        self.out(head + " {")
        self._depth += 1
        yield
        self._depth -= 1
        self.out("}")

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                continue
            method: Callable[[Any], None] | None = getattr(self, f"_{type(statement).__name__.lower()}_statement", None)
            if method is None:
                self.source.refuse(
                    statement, f"{type(statement).__name__} is not in the language", "see docs/language.md for what is"
                )
            covered = self.unit.coverage_point(self.source, statement.lineno)
            if covered is not None:
                self.out(f"model_covered[{covered}] = 1;")
            self._note_place(statement.lineno)
            method(statement)

    def _note_place(self, line: int) -> None:
        """Where the build measures, says which line of the model runs; a routine that only reads leaves that to its caller."""
        place = self.unit.place(self.source, line) if self.changes else None
        if place is not None:
            self.out(f"c->place = {place};")

    def _note(self, value: Value) -> Value:
        self.reads, self.changes = self.reads or value.reads, self.changes or value.changes
        return value

    def _pass_statement(self, node: ast.Pass) -> None:
        self.out(";")

    def _break_statement(self, node: ast.Break) -> None:
        self.out("break;")

    def _continue_statement(self, node: ast.Continue) -> None:
        self.out("continue;")

    def _expr_statement(self, node: ast.Expr) -> None:
        if yield_in(node):
            self._yield_point(node.value, None)  # type: ignore[arg-type]
            return
        if not isinstance(node.value, ast.Call):
            self.source.refuse(node, "an expression that does nothing", "an assignment or a call")
        value = self._note(self.value(node.value))
        self.out(f"(void){value.code};" if not isinstance(value.kind, Ref) else f"(void)&{value.code};")

    def _assert_statement(self, node: ast.Assert) -> None:
        value = self._note(self.condition(node.test))
        site = self.unit.site(self.source, node, "assert", message_of(node.msg) or ast.unparse(node.test))
        self.out(f"holds(c, {value.code}, {site});")

    def _if_statement(self, node: ast.If) -> None:
        test = self._note(self.condition(node.test))
        if test.constant is not None:
            self._block(node.body if test.constant else node.orelse)
            return
        with self._braces(f"if {bracketed(test.code)}"):
            self._block(node.body)
        if node.orelse:
            with self._braces("else"):
                self._block(node.orelse)

    def _annassign_statement(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name) or node.value is None:
            self.source.refuse(node, "an annotation stands with a name and a value", "n: u8 = 0")
        self.annotated[node.target.id] = self._declared(node, self._annotation(node.annotation))
        self.kinds.setdefault(node.target.id, self.annotated[node.target.id])
        if yield_in(node):
            self._yield_point(node.value, node.target)  # type: ignore[arg-type]
        else:
            self._assign(node, node.target.id, self._note(self.value(node.value)))

    def _annotation(self, node: ast.expr) -> object:
        found = self.expression(node)
        if not isinstance(found, Static):
            self.source.refuse(node, f"{ast.unparse(node)} is no type", "u8, bool, an enum or an index type")
        return found.object

    def _assign_statement(self, node: ast.Assign) -> None:
        if len(node.targets) != 1 or isinstance(node.targets[0], ast.Tuple | ast.List):
            self.source.refuse(node, "one target for one value", "a line for each")
        target = node.targets[0]
        if yield_in(node):
            if not isinstance(target, ast.Name):
                self.source.refuse(node, "the result of a yield goes to a name", "x = yield ..., then assign x")
            self._yield_point(node.value, target)  # type: ignore[arg-type]
            return
        value = self._note(self.value(node.value))
        if isinstance(target, ast.Name):
            self._assign(node, target.id, value)
        else:
            self._store(node, target, value)

    def _augassign_statement(self, node: ast.AugAssign) -> None:
        load = ast.copy_location(ast.parse(ast.unparse(node.target), mode="eval").body, node)
        for part in ast.walk(load):
            ast.copy_location(part, node)
        value = self._note(self._binop(ast.copy_location(ast.BinOp(load, node.op, node.value), node)))
        self.updates.add(node.target)
        if isinstance(node.target, ast.Name):
            self._assign(node, node.target.id, value)
        else:
            self._store(node, node.target, value)

    def _store(self, node: ast.AST, target: ast.expr, value: Value) -> None:
        place = self.value(target)
        self.changes = True
        self.stores.add(target)
        of = self._type_of_place(target)
        if not isinstance(of, Scalar):
            self.source.refuse(
                node, f"{ast.unparse(target)} is a whole {of}; structs are not assigned", "a routine that copies field by field"
            )
        code = self._converted_to_field(node, value, of, ast.unparse(target))
        written = place.code.replace("READ", "WRITE", 1)
        if value.changes:
            self.out(f"{{ {c_of(self.unit, kind_of(of))} value = ({c_of(self.unit, kind_of(of))}){code}; {written} = value; }}")
        else:
            self.out(f"{written} = {code};")

    def _type_of_place(self, target: ast.expr) -> object:
        if not isinstance(target, ast.Attribute | ast.Subscript):
            self.source.refuse(target, "this cannot be assigned to", "a name, a field or an element")
        base = self.value(target.value)
        if not isinstance(base.kind, Ref):
            self.source.refuse(target, "this cannot be assigned to", "a field of the state")
        if isinstance(base.kind.to, Array):
            return base.kind.to.element
        assert isinstance(target, ast.Attribute)
        return self.unit.fields(base.kind.to)[target.attr]

    def _converted_to_field(self, node: ast.AST, value: Value, of: Scalar, what: str) -> str:
        kind = kind_of(of)
        if isinstance(value.kind, Num) and value.kind.bits_of and isinstance(kind, Num) and not kind.packed:
            self.source.refuse(
                node,
                f"{what} would hold the bits of a {value.kind.bits_of}",
                f"a field of type {value.kind.bits_of} or of a packed type",
            )
        if isinstance(kind, Num) and isinstance(value.kind, Num):
            if value.constant is not None:
                self.names_constant(node, kind, value.constant)
            return self.fitted(node, value, of.limit, f"does not fit {what}, a {of}")
        return self.convert(node, value, kind, what)

    def convert(self, node: ast.AST, value: Value, kind: Kind, what: str) -> str:
        """The C of `value` as a variable of `kind`; refuses what does not fit for certain."""
        if value.kind == kind or (isinstance(kind, Ref) and isinstance(value.kind, Ref) and kind.to == value.kind.to):
            return value.code
        if is_index(kind) and value.constant is not None and not is_index(value.kind) and 0 <= value.constant < kind.scalar.fixed:  # type: ignore[union-attr]
            self.names_constant(node, kind, value.constant)
            return value.code
        if is_set(kind) and value.constant == 0 and isinstance(value.kind, Num):
            return value.code
        if isinstance(kind, Num) and isinstance(value.kind, Num) and value.kind.lo >= 0 and value.kind.hi <= kind.hi:
            return value.code
        if (
            isinstance(kind, Num)
            and isinstance(value.kind, Of)
            and not is_index(value.kind)
            and not is_set(value.kind)
            and value.kind.scalar.limit - 1 <= kind.hi
        ):
            return value.code
        if isinstance(kind, Num) and isinstance(value.kind, Num) and kind.hi == U64 and value.kind.lo >= 0:
            return self.fitted(node, value, U64 + 1, f"does not fit {what}, 64 bits")
        advice = f"u8({{}}) or another type that says how it narrows: {what} is {kind}" if isinstance(kind, Num) else str(kind)
        if is_set(kind):
            advice = "only(x), the set that holds one value, or 0"
        self.source.refuse(node, f"{what} is {kind} and would get {value.kind}", advice.format("..."))

    def _assign(self, node: ast.AST, name: str, value: Value, emit: bool = True) -> None:
        if isinstance(value.kind, Nothing):
            self.source.refuse(node, "a call without a result is assigned", "a routine that returns on every path")
        self.bound.append((name, value.symbol))
        fixed = self.annotated.get(name) or self.parameters.get(name)
        if fixed is None:
            if isinstance(value.kind, Num) and value.kind.lo < 0:
                said = ast.unparse(node.value) if isinstance(node, ast.Assign) else "..."
                self.source.refuse(node, f"{name} may become negative", f"{name} = u8({said}), which checks its range")
            self._widen(node, name, value)
        kind = self.kinds[name]
        if emit and not self._is_world(kind):
            if isinstance(kind, Ref):
                self.out(f"v_{name} = &{value.code};")
            else:
                self.out(f"v_{name} = ({c_of(self.unit, kind)})({self.convert(node, value, kind, name)});")
        elif not emit:
            self.convert(node, value, kind, name)

    def _widen(self, node: ast.AST, name: str, value: Value) -> None:
        known, kind = self.kinds.get(name), value.kind
        if known and (is_index(known) or is_set(known)) and value.constant is not None and isinstance(kind, Num):
            return
        if known and (is_index(kind) or is_set(kind)) and isinstance(known, Num) and known.hi == 0:
            known = None
        joined = join(known, kind)
        if joined is None:
            self.source.refuse(node, f"{name} was {known} and would become {kind}", "another name")
        if isinstance(joined, Num):
            hi = U64 if self._passes >= PASSES_BEFORE_WIDENING and joined != known else min(joined.hi, U64)
            joined = Num(joined.lo, hi, joined.packed, joined.bits_of)
        self.kinds[name] = joined

    def _return_statement(self, node: ast.Return) -> None:
        if yield_in(node):
            result = self._yield_point(node.value, None, returned=True)  # type: ignore[arg-type]
            self._returns(node, result)
            self.out("return STEP_RETURNED;")
            return
        value = self._note(self.value(node.value)) if node.value else Value(NOTHING, "")
        self._returns(node, value)
        if isinstance(self.returns, Nothing):
            self.out("c->result = 0; return STEP_RETURNED;" if self.is_process else "return;")
        elif self.is_process:
            code = f"(uint64_t)(uintptr_t)&{value.code}" if isinstance(value.kind, Ref) else f"(uint64_t)({value.code})"
            self.out(f"c->result = {code}; return STEP_RETURNED;")
        else:
            self.out(
                f"return &{value.code};"
                if isinstance(value.kind, Ref)
                else f"return ({c_of(self.unit, self.returns)})({value.code});"
            )

    def _returns(self, node: ast.Return, value: Value) -> None:
        self.returned.append(value.symbol)
        annotation = inspect.get_annotations(self.source.function, eval_str=True).get("return")
        if annotation is None and "return" in self.source.function.__annotations__ and node.value:
            self.source.refuse(
                node, f"{self.source.name} is annotated to return None and returns {value.kind}", "its type, or no annotation"
            )
        if annotation is not None:
            declared = self._declared(node, annotation)
            self.convert(node, value, declared, "the result")
            self.returns = declared
            return
        if isinstance(value.kind, Num) and value.kind.lo < 0:
            self.source.refuse(node, "a negative result", "an IntEnum for errors")
        if isinstance(self.returns, Nothing) and self._passes == 0 and not self._has_returned:
            self.returns = stored(value.kind)
        else:
            joined = self.joined(node, Value(self.returns, ""), Value(value.kind, "", value.constant))
            self.returns = stored(joined)
        self._has_returned = True

    _has_returned = False


def bracketed(code: str) -> str:
    """A condition in one pair of brackets: a second pair around == looks like a mistake to compilers."""
    depth = 0
    for place, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return code if code[0] == "(" and place == len(code) - 1 else f"({code})"
    return f"({code})"


def c_of(unit: Translation, kind: Kind) -> str:
    """The C type of a variable of this kind."""
    if isinstance(kind, Nothing):
        return "void"
    if isinstance(kind, Ref):
        return f"{unit.c_name(kind.to)} *"
    return f"uint{bits(kind)}_t" if not isinstance(kind, Num) or kind.lo >= 0 else c_type(kind.lo, kind.hi)
