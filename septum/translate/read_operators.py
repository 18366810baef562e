"""Reads operators: arithmetic that does not wrap, and comparisons of like with like.

What Python would do differently from C is refused; what may go wrong in a run is checked there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from septum.lang.types import Index
from septum.lang.values import BOOL, U64, Nothing, Num, Of, Ref, is_bool, is_enum, is_index, is_set
from septum.translate.fold import COMPARISON, decided
from septum.translate.read_expressions import number
from septum.translate.reader import Reader, Table, as_packed, is_interchangeable, is_named_by, plain, written
from septum.translate.tree import Binary, Checked, Const, Expression, Junction, Unary, constant

ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("+", lambda a, b: a + b), ast.Sub: ("-", lambda a, b: a - b), ast.Mult: ("*", lambda a, b: a * b),
    ast.FloorDiv: ("/", lambda a, b: a // b), ast.Mod: ("%", lambda a, b: a % b),
    ast.BitAnd: ("&", lambda a, b: a & b), ast.BitOr: ("|", lambda a, b: a | b), ast.BitXor: ("^", lambda a, b: a ^ b),
    ast.LShift: ("<<", lambda a, b: a << b), ast.RShift: (">>", lambda a, b: a >> b),
}  # fmt: skip
BITWISE = ("&", "|", "^")
INSTEAD: dict[type[ast.operator], str] = {
    ast.Pow: "1 << n for a power of 2, a product for another, or a constant of the module",
    ast.Div: "// for division",
}


def _binop(r: Reader, node: ast.BinOp) -> Expression:
    return binary(r, node, node.left, node.op, node.right)


def binary(r: Reader, node: ast.AST, left: ast.expr, operator: ast.operator, right: ast.expr) -> Expression:
    """`left operator right`, also of an assignment that says so."""
    if type(operator) not in ARITHMETIC:
        advice = INSTEAD.get(type(operator), "a routine of the model")
        r.refuse(node, f"the operator {type(operator).__name__} is not in the language", advice)
    symbol, compute = ARITHMETIC[type(operator)]
    _refuse_difference(r, node, left, operator, right)
    x, y = r.value(left), r.value(right)
    r.apart(node, x, y)
    if is_set(x.kind) and x.kind == y.kind and symbol in BITWISE:
        return Binary(r.at(node), x.kind, symbol, x, y)
    x, y = r.as_number(left, x), r.as_number(right, y)
    a, b = x.kind, y.kind
    assert isinstance(a, Num) and isinstance(b, Num)
    if isinstance(x, Const) and isinstance(y, Const):
        if symbol in ("<<", ">>") and not 0 <= y.number <= 64:
            r.refuse(node, f"a shift by {y.number}", "a shift by 0 to 64")
        if symbol in ("/", "%") and y.number == 0:
            r.refuse(node, "division by zero")
        return number(r, node, compute(x.number, y.number))
    if symbol in ("<<", ">>") and not 0 <= b.lo <= b.hi <= 63:
        if b.hi > 63 and (symbol == "<<" or a.hi > U64):
            r.refuse(node, f"a shift by up to {b.hi} may need more than 64 bits", "a narrower count, or a mask")
        b = Num(max(b.lo, 0), min(b.hi, 64))
        y = Checked(y.at, b, "shift", y, 64, r.site(node, "range", "a shift by less than 0"))
    kind = _bounds(r, node, symbol, compute, (a, constant(x)), (b, constant(y)))
    if symbol in ("/", "%") and b.lo <= 0:
        y = Checked(y.at, Num(max(b.lo, 1), b.hi), "nonzero", y, 0, r.site(node, "division", "division by zero"))
    return Binary(r.at(node), kind, symbol, x, y)


def _refuse_difference(r: Reader, node: ast.AST, left: ast.expr, operator: ast.operator, right: ast.expr) -> None:
    """`s - t` and `s & ~t` of sets."""
    without = right.operand if isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.Invert) else None
    taken = right if isinstance(operator, ast.Sub) else without if isinstance(operator, ast.BitAnd) else None
    if taken is not None and is_set(r.value(left).kind) and is_set(r.value(taken).kind):
        s, t = written(left), written(taken)
        reason = "no difference of sets is in the language"
        r.refuse(node, reason, f"if {s} & {t} != 0: {s} ^= {t}" if isinstance(taken, ast.Call) else f"{s} & ({s} ^ {t})")


def _bounds(r: Reader, node: ast.AST, symbol: str, compute: Callable[[int, int], int],
            left: tuple[Num, int | None], right: tuple[Num, int | None]) -> Num:  # fmt: skip
    """The kind of the result."""
    (a, _), (b, _) = left, right
    about = _bits_left(symbol, left, right)
    if symbol in BITWISE:
        for value, known in (left, right):
            if value.lo < 0 and (known is None or symbol != "&"):
                r.refuse(node, "bits of a number that may be negative", "an unsigned number")
        if symbol == "&":
            return Num(0, min(value.hi for value in (a, b) if value.lo >= 0), bits_of=about)
        return Num(0, (1 << max(a.hi.bit_length(), b.hi.bit_length())) - 1, bits_of=about)
    if symbol in ("/", "%", "<<", ">>") and (a.lo < 0 or b.lo < 0):
        r.refuse(node, "this operator on a number that may be negative differs in C", "unsigned numbers")
    if symbol == "/":
        return Num(0, a.hi // max(b.lo, 1), bits_of=about)
    if symbol == "%":
        return Num(0, min(a.hi, max(b.hi - 1, 0)), bits_of=about)
    corners = [compute(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    if max(corners) >= 1 << 100 or min(corners) < -(1 << 100):
        r.refuse(node, "the result may need more than 100 bits", "narrow the operands: u32(...)")
    return Num(min(corners), max(corners), bits_of=about)


def _bits_left(symbol: str, left: tuple[Num, int | None], right: tuple[Num, int | None]) -> Index | None:
    """The interchangeable index whose bits the result still holds: masks that leave none of them end it."""
    for value, mask in ((left[0], right[1]), (right[0], left[1])):
        if symbol == "&" and mask is not None and value.packed:
            window = (1 << value.packed.high) - (1 << value.packed.low)
            return value.packed.index if mask & window and is_interchangeable(value.packed.index) else None
    about = [value.bits_of or (value.packed.index if value.packed else None) for value, _ in (left, right)]
    return next((index for index in about if index and is_interchangeable(index)), None)


def _unaryop(r: Reader, node: ast.UnaryOp) -> Expression:
    if isinstance(node.op, ast.Not):
        value = r.condition(node.operand)
        known = constant(value)
        return Unary(r.at(node), BOOL, "not", value) if known is None else Const(r.at(node), BOOL, 1 - known)
    known = constant(r.number(node.operand))
    if known is None:
        if is_set(r.value(node.operand).kind):
            one = written(node.operand)
            r.refuse(node, f"{written(node)} is no set: all others are in it", f"if s & {one} != 0: s ^= {one}")
        r.refuse(node, f"{written(node)} is negative in Python", "x & ~MASK with a constant mask, or b - a")
    return number(r, node, -known if isinstance(node.op, ast.USub) else ~known)


def _boolop(r: Reader, node: ast.BoolOp) -> Expression:
    known = decided(r, node)
    if known is not None:
        return Const(r.at(node), BOOL, known)
    parts = [r.condition(part) for part in node.values if decided(r, part) is None]
    return parts[0] if len(parts) == 1 else junction(r, node, "and" if isinstance(node.op, ast.And) else "or", parts)


def junction(r: Reader, node: ast.AST, operator: str, parts: list[Expression]) -> Expression:
    """Truth values joined."""
    return parts[0] if len(parts) == 1 else Junction(r.at(node), BOOL, operator, tuple(parts))


def _compare(r: Reader, node: ast.Compare) -> Expression:
    operands = [node.left, *node.comparators]
    if len(node.ops) > 1 and any(isinstance(operand, ast.Call) for operand in operands[1:-1]):
        r.refuse(node, "a call in the middle of a chained comparison", "two comparisons joined by and")
    pairs = zip(node.ops, operands, operands[1:], strict=False)
    return junction(r, node, "and", [_comparison(r, node, *pair) for pair in pairs])


def _comparison(r: Reader, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Expression:
    if isinstance(operator, ast.In | ast.NotIn):
        return _membership(r, node, operator, left, right)
    if type(operator) not in COMPARISON:
        r.refuse(node, f"{type(operator).__name__} compares objects", "== or !=")
    a, b = r.value(left), r.value(right)
    r.apart(node, a, b)
    equality = isinstance(operator, ast.Eq | ast.NotEq)
    b = _beside(r, node, a, b, equality)
    a = _beside(r, node, b, a, equality)
    _comparable(r, node, equality, a, b)
    return Binary(r.at(node), BOOL, COMPARISON[type(operator)], a, b)


def _beside(r: Reader, node: ast.Compare, one: Expression, other: Expression, equality: bool) -> Expression:
    """What is compared with `one`, as a value of its kind where a number stands for that, or as a number beside one."""
    known = constant(other)
    if known is not None and isinstance(other.kind, Num) and is_named_by(one.kind, other.kind, known):
        return Const(other.at, one.kind, known)
    if isinstance(one.kind, Num) and isinstance(other.kind, Of) and isinstance(other.kind.scalar, Index):
        of = other.kind.scalar
        if not is_interchangeable(of) and not (constant(one) is not None and 0 <= (constant(one) or 0) < of.fixed):
            return plain(other)
    return as_packed(other, one.kind)


def _comparable(r: Reader, node: ast.Compare, equality: bool, a: Expression, b: Expression) -> None:
    for one, other in ((a, b), (b, a)):
        if isinstance(one.kind, Of) and is_interchangeable(one.kind.scalar) and not equality:
            r.refuse(node, f"the values of {one.kind} have no order", "== or !=")
        if is_set(one.kind) and constant(other) == 0 and isinstance(other.kind, Num) and equality:
            return
        if isinstance(one.kind, Num) and is_bool(other.kind):
            return
        if isinstance(one.kind, Num) and is_enum(other.kind) and constant(one) is not None:
            return
        if isinstance(one.kind, Num) and (one.kind.bits_of or one.kind.packed) and not equality:
            r.refuse(node, f"{written(node)} orders words that hold a page number", "== or !=, or mask the bits first")
    if type(a.kind) is not type(b.kind) or (isinstance(a.kind, Of | Ref) and a.kind != b.kind) or isinstance(a.kind, Nothing):
        sets = is_set(a.kind) or is_set(b.kind)
        advice = "another set, as only(x), or 0, the empty one" if sets else "two values of one type"
        r.refuse(node, f"{a.kind} is compared with {b.kind}", advice)
    if not equality and not isinstance(a.kind, Num) and not is_enum(a.kind) and not is_index(a.kind):
        r.refuse(node, f"{a.kind} has no order", "== or !=")


def _membership(r: Reader, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> Expression:
    if not isinstance(right, ast.Tuple):
        if isinstance(right, ast.Name | ast.Attribute | ast.Subscript) and is_set(r.value(right).kind):
            said, empty = f"{written(right)} & only({written(left)})", "!= 0" if isinstance(operator, ast.In) else "== 0"
            r.refuse(node, "`in` asks a tuple, and no set", f"{said} {empty}")
        r.refuse(node, "`in` wants a tuple written out", "x in (A, B)")
    if r.value(left).changes:
        r.refuse(node, "`in` of a call that changes the state", "bind it to a name first")
    found = junction(r, node, "or", [_comparison(r, node, ast.Eq(), left, member) for member in right.elts])
    return Unary(r.at(node), BOOL, "not", found) if isinstance(operator, ast.NotIn) else found


OPERATORS: Table = {
    ast.BinOp: _binop, ast.UnaryOp: _unaryop, ast.BoolOp: _boolop, ast.Compare: _compare,
}  # fmt: skip
