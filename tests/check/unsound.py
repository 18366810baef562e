"""Mistakes in a reduction that the random models must catch: each makes it see one field too few, or one too many.

A reduction that is added brings its own: an Unsound, whose `plant` replaces a piece of the reduction by monkeypatch.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass

from septum.lang import flow, symmetry
from septum.lang.struct import realise


@dataclass(frozen=True)
class Unsound:
    """`reduction` is the one that goes wrong while `plant` is in force."""

    name: str
    reduction: str
    plant: Callable[[object], None]


def overlook_a_field(monkeypatch):
    """Fusion takes a step that touches `n` alone for one that touches nothing."""
    real = flow.touches

    class WithoutN(ast.NodeTransformer):
        def visit_Attribute(self, node):
            return ast.Name("n", node.ctx) if node.attr == "n" else self.generic_visit(node)

        def visit_Call(self, node):
            self.generic_visit(node)
            return node.args[0] if isinstance(node.func, ast.Name) and node.func.id == "u8" else node

    monkeypatch.setattr(flow, "touches", lambda tree: real(WithoutN().visit(copy.deepcopy(tree))))


def rename_one_page_too_many(monkeypatch):
    """Symmetry also renames the last page that has a name of its own."""
    real = symmetry._array

    def array(of, name, items):
        return real(of, name, [item.replace("{ 2,", "{ 1,") for item in items] if of == "scalarset_t" else items)

    monkeypatch.setattr(symmetry, "_array", array)


def rename_one_field_too_many(monkeypatch):
    """Symmetry takes the count `n` for a page."""
    real = symmetry.Tables.__init__

    def init(self, unit):
        real(self, unit)
        offset = realise(unit.world, unit.realised).n.offset
        self.world += [symmetry.Place(offset, 1, "NUMBER", pages) for pages in self.sets]

    monkeypatch.setattr(symmetry.Tables, "__init__", init)


UNSOUND = (
    Unsound("a field is overlooked", "fusion", overlook_a_field),
    Unsound("one page too many is renamed", "symmetry", rename_one_page_too_many),
    Unsound("one field too many is renamed", "symmetry", rename_one_field_too_many),
)
