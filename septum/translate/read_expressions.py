"""Reads names, places and constants."""

from __future__ import annotations

import ast
import difflib
import enum
from collections.abc import Callable
from typing import Any

from septum.lang.source import MISSING, attribute
from septum.lang.struct import constants
from septum.lang.types import Array, EnumType, Scalar, Size, type_name
from septum.lang.values import BOOL, Num, Of, Ref, is_index, kind_of
from septum.translate.fold import decided
from septum.translate.reader import (
    Reader,
    Static,
    Table,
    element_type,
    is_interchangeable,
    is_named_by,
    is_within,
    plain,
    written,
)
from septum.translate.tree import Checked, Conditional, Const, Element, Expression, Field, Load, Local, Place, constant


def _constant(r: Reader, node: ast.Constant) -> Expression:
    if isinstance(node.value, bool):
        return Const(r.at(node), BOOL, int(node.value))
    if isinstance(node.value, int):
        return number(r, node, node.value)
    advice = "a number, a truth value or an enum member (0 is none for pages)"
    r.refuse(node, f"{node.value!r} is no number", "a whole number" if isinstance(node.value, float) else advice)


def number(r: Reader, node: ast.AST, value: int) -> Const:
    """A number that is known."""
    return Const(r.at(node), Num(value, value), value)


def _name(r: Reader, node: ast.Name) -> Expression | Static:
    kind = r.kinds.get(node.id)
    if kind is not None:
        r.named.add(node.id)
        return Local(r.at(node), kind, node.id)
    if node.id in r.names:
        r.refuse(node, f"{node.id} is read before anything is assigned to it", f"{node.id} = ... before")
    found = r.source.lookup(node.id)
    if found is MISSING:
        r.refuse(node, f"{node.id} is not defined", "a local, a parameter or a constant of the module")
    return static(r, node, found)


def static(r: Reader, node: ast.expr, found: object) -> Expression | Static:
    """A Python object as a value if it is a constant."""
    if isinstance(found, enum.IntEnum):
        return Const(r.at(node), Of(EnumType(type(found))), int(found))
    if isinstance(found, bool):
        return Const(r.at(node), BOOL, int(found))
    if isinstance(found, int | Size):
        return number(r, node, int(found))
    if isinstance(found, float | str | bytes | list | dict | set | tuple):
        r.refuse(node, f"{written(node)} is a {type(found).__name__}", "a number, an enum member or a Size")
    return Static(found)


def _attribute(r: Reader, node: ast.Attribute) -> Expression | Static:
    base = r.expression(node.value)
    if isinstance(base, Static):
        try:
            return static(r, node, attribute(base.object, node.attr))
        except AttributeError as error:
            r.refuse(node, str(error), "a name that is there")
    if not isinstance(base.kind, Ref) or isinstance(base.kind.to, Array):
        r.refuse(node, f"{base.kind} has no fields", "a struct")
    struct: Any = base.kind.to
    of = r.around.fields(struct).get(node.attr)
    if of is None and node.attr in constants(struct):
        return number(r, node, constants(struct)[node.attr])
    if of is None:
        said = ", ".join(r.around.fields(struct))
        near = difflib.get_close_matches(node.attr, r.around.fields(struct), 1)
        r.refuse(node, f"{type_name(struct)} has no field {node.attr}", near[0] if near else f"one of {said}")
    if isinstance(of, Scalar):
        return _load(r, node, Field(r.at(node), kind_of(of), base, struct, node.attr))
    return Field(r.at(node), Ref(of), base, struct, node.attr)


def _subscript(r: Reader, node: ast.Subscript) -> Expression | Static:
    base = r.expression(node.value)
    if isinstance(base, Static):
        r.refuse(node, "only arrays of the state are indexed", "an array field")
    array = element_type(base)
    if array is None:
        r.refuse(node, f"{base.kind} cannot be indexed", "an array")
    index = r.value(node.slice)
    r.apart(node, base, index)
    of = array.element
    index = _bounded(r, node, array, index)
    if isinstance(of, Scalar):
        return _load(r, node, Element(r.at(node), kind_of(of), base, array, index))
    return Element(r.at(node), Ref(of), base, array, index)


def _load(r: Reader, node: ast.expr, place: Place) -> Load:
    return Load(place.at, place.kind, place, r.source.segment(node))


def _bounded(r: Reader, node: ast.Subscript, array: Array, index: Expression) -> Expression:
    """An index of an array, with a check where it may be outside."""
    kind, known = index.kind, constant(index)
    if array.index:
        if is_index(kind) and kind.scalar is array.index:  # type: ignore[union-attr]
            return index
        if known is None or not 0 <= known < array.index.fixed or not is_named_by(Of(array.index), kind, known):
            advice = f"{array.index}({written(node.slice)})"
            r.refuse(node, f"{array} is indexed by {array.index}, not by {kind}", advice)
        return Const(index.at, Of(array.index), known)
    if isinstance(kind, Num) and kind.lo >= 0 and kind.hi < array.length:
        return index
    if not isinstance(kind, Num | Of) or (isinstance(kind, Of) and is_interchangeable(kind.scalar)):
        r.refuse(node, f"{array} cannot be indexed by {kind}", "a number")
    if is_index(kind):
        index = plain(index)
        if is_within(kind, array.length):
            return index
    if known is not None or (isinstance(kind, Num) and (kind.hi < 0 or kind.lo >= array.length)):
        r.refuse(node, f"the index {written(node.slice)} is outside of {array}", f"0 .. {array.length - 1}")
    site = r.site(node, "index", f"the index is outside of {array}")
    return Checked(index.at, Num(0, array.length - 1), "index", index, array.length, site)


def _ifexp(r: Reader, node: ast.IfExp) -> Expression:
    known = decided(r, node.test)
    if known is not None:
        return r.value(node.body if known else node.orelse)
    test, then, otherwise = r.condition(node.test), r.value(node.body), r.value(node.orelse)
    kind, then, otherwise = r.joined(node, then, otherwise)
    if constant(test) is not None:
        return then if constant(test) else otherwise
    return Conditional(r.at(node), kind, test, then, otherwise)


def _refused(reason: str, instead: str) -> Callable[[Reader, ast.expr], Expression]:
    def read(r: Reader, node: ast.expr) -> Expression:
        r.refuse(node, reason, instead)

    return read


EXPRESSIONS: Table = {
    ast.Constant: _constant, ast.Name: _name, ast.Attribute: _attribute, ast.Subscript: _subscript, ast.IfExp: _ifexp,
    ast.Tuple: _refused("a tuple is no value of the language", "one name at a time"),
    ast.JoinedStr: _refused("text is no value of the language", "text only as the message of an assert, warn_on or bug_on"),
    ast.Yield: _refused("a yield may not stand inside an expression", "x = yield ... on a line of its own"),
    ast.YieldFrom: _refused("a yield from may not stand inside an expression", "x = yield from ... on a line of its own"),
    ast.Lambda: _refused("a lambda may stand only in when() and choose()", "a routine"),
}  # fmt: skip
