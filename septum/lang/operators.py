"""Operators: arithmetic that does not wrap, and comparisons of like with like."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from septum.lang.expressions import Expressions, Value, c_type, is_interchangeable, number
from septum.lang.types import Index, SetOf
from septum.lang.values import BOOL, U64, Nothing, Num, Of, Ref, is_bool, is_enum, is_index, is_set

ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("+", lambda a, b: a + b), ast.Sub: ("-", lambda a, b: a - b), ast.Mult: ("*", lambda a, b: a * b),
    ast.FloorDiv: ("/", lambda a, b: a // b), ast.Mod: ("%", lambda a, b: a % b),
    ast.BitAnd: ("&", lambda a, b: a & b), ast.BitOr: ("|", lambda a, b: a | b), ast.BitXor: ("^", lambda a, b: a ^ b),
    ast.LShift: ("<<", lambda a, b: a << b), ast.RShift: (">>", lambda a, b: a >> b),
}  # fmt: skip
COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip


class Operators(Expressions):
    """Translates unary and binary operators, truth and comparison."""

    def _binop(self, node: ast.BinOp) -> Value:
        if type(node.op) not in ARITHMETIC:
            self.source.refuse(node, f"the operator {type(node.op).__name__} is not in the language", "// for division")
        left, right = self.value(node.left), self.value(node.right)
        self.apart(node, left, right)
        if is_set(left.kind) and left.kind == right.kind and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor):
            return replace(left, code=f"({left.code} {ARITHMETIC[type(node.op)][0]} {right.code})", symbol=None,
                           reads=left.reads or right.reads, changes=left.changes or right.changes)  # fmt: skip
        left, right = self._number_of(node.left, left), self._number_of(node.right, right)
        symbol, compute = ARITHMETIC[type(node.op)]
        a, b = left.kind, right.kind
        assert isinstance(a, Num) and isinstance(b, Num)
        if left.constant is not None and right.constant is not None:
            if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= right.constant <= 64:
                self.source.refuse(node, f"a shift by {right.constant}", "a shift by 0 to 64")
            if isinstance(node.op, ast.FloorDiv | ast.Mod) and right.constant == 0:
                self.source.refuse(node, "division by zero")
            return number(compute(left.constant, right.constant))
        if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= b.lo <= b.hi <= 63:
            if b.hi > 63 and (isinstance(node.op, ast.LShift) or a.hi > U64):
                self.source.refuse(node, f"a shift by up to {b.hi} may need more than 64 bits", "a narrower count, or a mask")
            site = self.unit.site(self.source, node, "range", "a shift by less than 0")
            b = Num(max(b.lo, 0), min(b.hi, 64))
            right = replace(right, kind=b, code=f"shift_count(c, (__int128)({right.code}), {site})")
        kind = self._bounds(node, a, b, compute, right.constant, left.constant)
        code = self._compute(node, symbol, left, right, kind)
        return Value(kind, code, reads=left.reads or right.reads, changes=left.changes or right.changes)

    def _operand(self, node: ast.expr) -> Value:
        return self._number_of(node, self.value(node))

    def _number_of(self, node: ast.expr, value: Value) -> Value:
        if is_bool(value.kind):
            return replace(value, kind=Num(0, 1))
        of = value.kind.scalar if isinstance(value.kind, Of) else None
        if isinstance(of, SetOf) or (isinstance(of, Index) and not is_interchangeable(of)):
            self.as_number(node, value)
            return replace(value, kind=Num(0, of.limit - 1))
        if not isinstance(value.kind, Num):
            self.source.refuse(node, f"no arithmetic on {value.kind}", f"u64({ast.unparse(node)}) if its number is meant")
        return value

    def _bounds(
        self, node: ast.BinOp, a: Num, b: Num, compute: Callable[[int, int], int], right: int | None, left: int | None
    ) -> Num:
        operator, about = node.op, self._bits_left(node.op, a, b, left, right)
        if isinstance(operator, ast.BitAnd | ast.BitOr | ast.BitXor):
            for value, constant in ((a, left), (b, right)):
                if value.lo < 0 and (constant is None or not isinstance(operator, ast.BitAnd)):
                    self.source.refuse(node, "bits of a number that may be negative", "an unsigned number")
            if isinstance(operator, ast.BitAnd):
                return Num(0, min(value.hi for value in (a, b) if value.lo >= 0), bits_of=about)
            return Num(0, (1 << max(a.hi.bit_length(), b.hi.bit_length())) - 1, bits_of=about)
        if isinstance(operator, ast.FloorDiv | ast.Mod | ast.LShift | ast.RShift) and (a.lo < 0 or b.lo < 0):
            self.source.refuse(node, "this operator on a number that may be negative differs in C", "unsigned numbers")
        if isinstance(operator, ast.FloorDiv):
            return Num(0, a.hi // max(b.lo, 1), bits_of=about)
        if isinstance(operator, ast.Mod):
            return Num(0, min(a.hi, max(b.hi - 1, 0)), bits_of=about)
        corners = [compute(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
        if max(corners) >= 1 << 100 or min(corners) < -(1 << 100):
            self.source.refuse(node, "the result may need more than 100 bits", "narrow the operands: u32(...)")
        return Num(min(corners), max(corners), bits_of=about)

    def _bits_left(self, operator: ast.operator, a: Num, b: Num, left: int | None, right: int | None) -> Index | None:
        """The interchangeable index whose bits the result still holds: masks that leave none of them end it."""
        for value, mask in ((a, right), (b, left)):
            if isinstance(operator, ast.BitAnd) and mask is not None and value.packed:
                window = (1 << value.packed.high) - (1 << value.packed.low)
                return value.packed.index if mask & window and is_interchangeable(value.packed.index) else None
        about = [value.bits_of or (value.packed.index if value.packed else None) for value in (a, b)]
        return next((index for index in about if index and is_interchangeable(index)), None)

    def _compute(self, node: ast.BinOp, symbol: str, left: Value, right: Value, kind: Num) -> str:
        assert isinstance(left.kind, Num) and isinstance(right.kind, Num)
        of = c_type(min(left.kind.lo, right.kind.lo, kind.lo), max(left.kind.hi, right.kind.hi, kind.hi))
        if isinstance(node.op, ast.BitAnd) and min(left.kind.lo, right.kind.lo) < 0:
            of = "uint64_t"
        if isinstance(node.op, ast.RShift) and right.kind.hi > 63:
            return f"shifted_right((uint64_t)({left.code}), (uint64_t)({right.code}))"
        if isinstance(node.op, ast.FloorDiv | ast.Mod) and right.kind.lo <= 0:
            site = self.unit.site(self.source, node, "division", "division by zero")
            return f"(({of})({left.code}) {symbol} ({of})nonzero(c, (uint64_t)({right.code}), {site}))"
        return f"(({of})({left.code}) {symbol} ({of})({right.code}))"

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            value = self.condition(node.operand)
            constant = None if value.constant is None else 1 - value.constant
            return replace(value, code=f"(!{value.code})", constant=constant, symbol=None)
        value = self._operand(node.operand)
        if value.constant is None:
            self.source.refuse(node, f"{ast.unparse(node)} is negative in Python", "x & ~MASK with a constant mask, or b - a")
        return number(-value.constant if isinstance(node.op, ast.USub) else ~value.constant)

    def _boolop(self, node: ast.BoolOp) -> Value:
        parts = [self.condition(part) for part in node.values]
        symbol = " && " if isinstance(node.op, ast.And) else " || "
        code = "(" + symbol.join(part.code for part in parts) + ")"
        return Value(BOOL, code, reads=any(part.reads for part in parts), changes=any(part.changes for part in parts))

    def _compare(self, node: ast.Compare) -> Value:
        operands = [node.left, *node.comparators]
        if len(node.ops) > 1 and any(isinstance(operand, ast.Call) for operand in operands[1:-1]):
            self.source.refuse(node, "a call in the middle of a chained comparison", "two comparisons joined by and")
        pairs = [self._comparison(node, *pair) for pair in zip(node.ops, operands, operands[1:], strict=False)]
        if len(pairs) == 1:
            return pairs[0]
        code = "(" + " && ".join(pair.code for pair in pairs) + ")"
        return Value(BOOL, code, reads=any(p.reads for p in pairs), changes=any(p.changes for p in pairs))

    def _comparison(self, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Value:
        if isinstance(operator, ast.In | ast.NotIn):
            return self._membership(node, operator, left, right)
        if type(operator) not in COMPARISON:
            self.source.refuse(node, f"{type(operator).__name__} compares objects", "== or !=")
        a, b = self.value(left), self.value(right)
        self.apart(node, a, b)
        self._comparable(node, operator, a, b)
        for one, other in ((a, b), (b, a)):
            if isinstance(one.kind, Num) and other.constant is not None:
                self.names_constant(node, one.kind, other.constant)
        code_a, code_b = a.code, b.code
        if isinstance(a.kind, Ref):
            code_a, code_b = f"&{a.code}", f"&{b.code}"
        elif isinstance(a.kind, Num) and isinstance(b.kind, Num):
            of = c_type(min(a.kind.lo, b.kind.lo), max(a.kind.hi, b.kind.hi))
            code_a, code_b = f"({of})({a.code})", f"({of})({b.code})"
        return Value(
            BOOL, f"({code_a} {COMPARISON[type(operator)]} {code_b})", reads=a.reads or b.reads, changes=a.changes or b.changes
        )

    def _comparable(self, node: ast.Compare, operator: ast.cmpop, a: Value, b: Value) -> None:
        equality = isinstance(operator, ast.Eq | ast.NotEq)
        for one, other in ((a, b), (b, a)):
            if isinstance(one.kind, Of) and isinstance(one.kind.scalar, Index):
                index = one.kind.scalar
                if index.fixed < index.limit and not equality:
                    self.source.refuse(node, f"the values of {index} have no order", "== or !=")
                if not equality:
                    self.tells_apart(node, index, f"values of {index} are ordered")
                if other.constant is not None and not is_index(other.kind) and 0 <= other.constant < index.fixed:
                    self.names_constant(node, one.kind, other.constant)
                    return
                if index.fixed == index.limit and isinstance(other.kind, Num):
                    self.as_number(node, one)
                    return
            if is_set(one.kind) and other.constant == 0 and isinstance(other.kind, Num) and equality:
                return
            if isinstance(one.kind, Num) and is_bool(other.kind):
                return
            if isinstance(one.kind, Num) and is_enum(other.kind) and one.constant is not None:
                return
            if isinstance(one.kind, Num) and (one.kind.bits_of or one.kind.packed) and not equality:
                self.source.refuse(
                    node, f"{ast.unparse(node)} orders words that hold a page number", "== or !=, or mask the bits first"
                )
        if type(a.kind) is not type(b.kind) or (isinstance(a.kind, Of | Ref) and a.kind != b.kind) or isinstance(a.kind, Nothing):
            self.source.refuse(node, f"{a.kind} is compared with {b.kind}", "two values of one type")
        if not equality and not isinstance(a.kind, Num) and not is_enum(a.kind) and not is_index(a.kind):
            self.source.refuse(node, f"{a.kind} has no order", "== or !=")

    def _membership(self, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Value:
        if not isinstance(right, ast.Tuple):
            self.source.refuse(node, "`in` wants a tuple written out", "x in (A, B)")
        if self.value(left).changes:
            self.source.refuse(node, "`in` of a call that changes the state", "bind it to a name first")
        each = [self._comparison(node, ast.Eq(), left, member) for member in right.elts]
        code = "(" + " || ".join(value.code for value in each) + ")"
        code = f"(!{code})" if isinstance(operator, ast.NotIn) else code
        return Value(BOOL, code, reads=any(value.reads for value in each))
