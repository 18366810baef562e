"""Mistakes in a reduction, or in what a step notes, that the random models must catch: each sees a field too few, or too many.

A reduction that is added brings its own: an Unsound, whose `plant` replaces a piece of the reduction by monkeypatch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from septum.reduce import apart, automorphism, symmetry
from septum.reduce.footprint import Footprint, Footprints
from septum.translate.print_c import Printer


@dataclass(frozen=True)
class Unsound:
    """`reduction` is the one that goes wrong while `plant` is in force."""

    name: str
    reduction: str
    plant: Callable[[object], None]


def without_n(footprints, of):
    """A footprint one field too small."""
    kept = ~sum(1 << number for path, number in footprints.paths.items() if path[-1] == "n")
    return Footprint(of.reads & kept, of.writes & kept)


def overlook_a_field(monkeypatch):
    """A step that touches `n` alone is taken for one that touches nothing."""
    real = Footprints._touched
    monkeypatch.setattr(Footprints, "_touched", lambda self, *of: without_n(self, real(self, *of)))


def overlook_what_is_done_later(monkeypatch):
    """A thread is taken to touch nothing but in its next step."""
    real = Footprints._follow

    def follow(self, of, meanings):
        real(self, of, meanings)
        for spot in of.spots:
            spot.later = spot.step
        of.total = of.spots[0].later

    monkeypatch.setattr(Footprints, "_follow", follow)


def rename_one_page_too_many(monkeypatch):
    """Symmetry also renames the last page that has a name of its own."""
    real = symmetry._array

    def array(of, name, items):
        return real(of, name, [item.replace("{ 2,", "{ 1,") for item in items] if of == "scalarset_t" else items)

    monkeypatch.setattr(symmetry, "_array", array)


def take_all_to_be_alike(monkeypatch):
    """Nothing that a process or a property does is taken to tell threads or vCPUs apart."""
    monkeypatch.setattr(symmetry, "told_apart", lambda roots: set())
    monkeypatch.setattr(automorphism, "told_apart", lambda roots: set())


def take_loops_to_have_no_order(monkeypatch):
    """A loop over vCPUs is taken to do the same in every order."""
    monkeypatch.setattr(apart, "depends_on_order", lambda *of: False)


def rename_threads_and_not_sets_of_them(monkeypatch):
    """The image of a state keeps the sets of threads that it has."""
    real = automorphism.Automorphisms._places
    kept = lambda self, one: (place for place in real(self, one) if place.kind != "MEMBERS")  # noqa: E731
    monkeypatch.setattr(automorphism.Automorphisms, "_places", kept)


def overlook_a_write(monkeypatch):
    """A step does not note that it writes `used`, which lies far from the frames."""
    real = Printer._access
    noted = lambda node, how: "READ" if getattr(node.place, "name", "") == "used" else how  # noqa: E731
    monkeypatch.setattr(Printer, "_access", lambda self, how, node: real(self, noted(node, how), node))


UNSOUND = (
    Unsound("a write is overlooked", "fusion", overlook_a_write),
    Unsound("a field is overlooked", "fusion", overlook_a_field),
    Unsound("a field is overlooked", "partial", overlook_a_field),
    Unsound("what is done later is overlooked", "partial", overlook_what_is_done_later),
    Unsound("one page too many is renamed", "symmetry", rename_one_page_too_many),
    Unsound("what tells threads apart is overlooked", "symmetry", take_all_to_be_alike),
    Unsound("the order of a loop is overlooked", "symmetry", take_loops_to_have_no_order),
    Unsound("sets of threads are not renamed", "symmetry", rename_threads_and_not_sets_of_them),
)
