"""Mistakes in a reduction that the random models must catch: each makes it see one field too few, or one too many.

A reduction that is added brings its own: an Unsound, whose `plant` replaces a piece of the reduction by monkeypatch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from septum.lang import symmetry
from septum.lang.footprint import Footprint, Footprints


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


UNSOUND = (
    Unsound("a field is overlooked", "fusion", overlook_a_field),
    Unsound("a field is overlooked", "partial", overlook_a_field),
    Unsound("what is done later is overlooked", "partial", overlook_what_is_done_later),
    Unsound("one page too many is renamed", "symmetry", rename_one_page_too_many),
)
