"""What a build that measures knows beside the model: lines by number, and calls that are noted with the locks held.

A note is one word: meter, line, locks held, value; measure.c keeps each once. A class of locks has two bits:
held, and held by a reader.
"""

from __future__ import annotations

from dataclasses import dataclass

from septum.lang.processes import Meter

VALUE_BITS, HELD_BITS, PLACE_BITS = 28, 20, 11
PLACES = 1 << PLACE_BITS
LOCK_CLASSES = HELD_BITS // 2

ENTERED = Meter("entered", "a SEAMCALL or TDCALL was made")
ANSWERED = Meter("answered", "a SEAMCALL ended: its number times ANSWERS, and its status")
ANSWERS = 256
MEASURED_CALLS = ("tdh_",)
BENEATH = ("septum.host.", "septum.tdx.", "septum.properties.", "septum.kvm.seam.", "septum.kvm.vmx.pamt_lazy")
"""Modules whose lines are not named: what happens there is put down to the line of KVM or of the design that called."""


@dataclass(frozen=True)
class Place:
    """A line of the model: function, file, number, text."""

    function: str
    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Note:
    """One thing that was observed: which meter, in which line (None: in a state), under which locks, which value."""

    meter: Meter
    place: Place | None
    held: int
    value: int


def unpacked(word: int, meters: list[Meter], places: list[Place]) -> Note:
    """The note that a word of measure.c stands for."""
    value = word & (1 << VALUE_BITS) - 1
    held = word >> VALUE_BITS & (1 << HELD_BITS) - 1
    place = word >> VALUE_BITS + HELD_BITS & PLACES - 1
    meter = (word >> VALUE_BITS + HELD_BITS + PLACE_BITS) - 1
    return Note(meters[meter], places[place - 1] if place else None, held, value)
