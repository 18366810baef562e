"""Where in the world the places of footprints lie, for reach.c: only a thread whose footprint has its bit can meet an access."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from septum.lang.places import Places
from septum.reduce.footprint import Footprints
from septum.reduce.packed import sets


class MeetingTables:
    """What reach.c needs to know of a scenario's places; `give` hands it to a compiled model and keeps it alive.

    The world has `size` bytes; `bits` gives those of a set of paths in the tables of footprints, which have `words` words.
    """

    def __init__(self, footprints: Footprints, places: Places, size: int, words: int, bits: Callable[[int], int]) -> None:
        exact, vague = dict[int, int](), dict[int, int]()
        for path, number in footprints.paths.items():
            mask = bits(1 << number)
            for offset in places.offsets(path) if mask else ():
                if None in path:
                    vague[offset] = vague.get(offset, 0) | mask
                else:
                    exact[offset] = mask
        masks: dict[int, int] = {0: 0}
        self._kinds = (ctypes.c_uint32 * size)()
        # A place that is named in full has one bit, which whatever else may name it has too.
        for offset, mask in {**vague, **exact}.items():
            self._kinds[offset] = masks.setdefault(mask, len(masks))
        self._masks = sets(masks, words)

    @property
    def content(self) -> bytes:
        """All that is given."""
        return bytes(self._kinds) + bytes(self._masks)

    def give(self, library: ctypes.CDLL) -> None:
        """Makes these the places by which `library`, which is watched, looks for races."""
        library.septum_places(self._kinds, self._masks)
        library.given_places = self  # type: ignore[attr-defined]
