"""The whole of a model that is explored: its threads, what reduces its states, and the explorer; one translation unit."""

from __future__ import annotations

from collections.abc import Sequence

from septum import reduce
from septum.lang.model import Property
from septum.reduce.symmetry import symmetry_tables
from septum.translate import unit
from septum.translate.translation import Translation


def explored(translation: Translation, properties: Sequence[Property], explorer: str) -> str:
    """The C of a translation whose entries are read, with the explorer behind it; it is kept as the translation's code."""
    translation.judge(properties)
    part = reduce.text
    return unit.threads(
        translation, properties, part("footprints.c"), part("watch.c"), symmetry_tables(translation), part("symmetry.c"),
        part("automorphisms.c"), explorer,
    )  # fmt: skip
