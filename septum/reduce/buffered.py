"""Which places need store buffers: those that one thread writes and another touches, or a property, which sees in which order
the memory takes them. Nobody can tell when others are stored.

What stands for no memory (a Ghost) needs none either.
"""

from __future__ import annotations

from septum.lang.places import Places
from septum.lang.struct import Ghost
from septum.reduce.alone import total
from septum.reduce.footprint import Footprints


def buffered(footprints: Footprints, places: Places, size: int) -> bytes:
    """For each byte of a world of `size` bytes: that of the scalar which begins there if its stores are buffered, else 0."""
    touching, written = dict[int, set[int]](), set[int]()
    for thread, touched in enumerate([footprints.judged, *map(total, footprints.programs)]):
        for paths, writes in ((touched.reads, False), (touched.writes, True)):
            for path in footprints.places(paths):
                for offset in places.offsets(path):
                    touching.setdefault(offset, set()).add(thread)
                    if writes:
                        written.add(offset)
    found = bytearray(size)
    ghosts = {at for _, begin, of in places.structs(Ghost) for at in range(begin, begin + places.size(of))}
    for offset in written - ghosts:
        if len(touching[offset]) > 1:
            found[offset] = places.scalar(offset)[1].bits // 8
    return bytes(found)
