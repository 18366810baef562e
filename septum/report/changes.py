"""The changes of a step, shorter: what changed alike in neighbouring elements of an array is said once.

frame[11].role: FREE -> POOL                    frame[11-12].role: FREE -> POOL
frame[12].role: FREE -> POOL
pool.objects[0]: none -> pfn 11                 pool.objects[0-1]: none -> pfn 11, pfn 12
pool.objects[1]: none -> pfn 12
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product

from septum.check.result import Change
from septum.report.numbers import ranges

_INDEX = re.compile(r"\[(\d+)\]")
Indices = tuple[int, ...]


def shorter(changes: Sequence[Change]) -> list[Change]:
    """The same changes in fewer lines, in the order in which they began."""
    return list(_rows(list(_blocks(changes))))


def _blocks(changes: Sequence[Change]) -> Iterator[Change]:
    """Joins equal changes whose indices are all the combinations of some ranges."""
    alike: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes:
        alike.setdefault((_INDEX.sub("[]", change.place), change.old, change.new), []).append(change)
    for (template, old, new), group in alike.items():
        indices = [_indices(change.place) for change in group]
        sides = [sorted(set(side)) for side in zip(*indices, strict=True)]
        if len(group) > 1 and set(product(*sides)) == set(indices):
            yield Change(_filled(template, [ranges(side) for side in sides]), old, new)
        else:
            yield from group


def _rows(changes: Sequence[Change]) -> Iterator[Change]:
    """Joins changes of consecutive elements which all had the same old value."""
    row: list[Change] = []
    for change in changes:
        if row and not _follows(row[-1], change):
            yield _row(row)
            row = []
        row.append(change)
    if row:
        yield _row(row)


def _row(row: Sequence[Change]) -> Change:
    if len(row) == 1:
        return row[0]
    *outer, first = _indices(row[0].place)
    sides = [*map(str, outer), f"{first}-{_indices(row[-1].place)[-1]}"]
    return Change(_filled(_INDEX.sub("[]", row[0].place), sides), row[0].old, ", ".join(change.new for change in row))


def _follows(before: Change, after: Change) -> bool:
    """`after` is the next element of the same array, and had the same old value."""
    first, second = _indices(before.place), _indices(after.place)
    same = _INDEX.sub("[]", before.place) == _INDEX.sub("[]", after.place) and before.old == after.old
    return same and bool(first) and (*first[:-1], first[-1] + 1) == second


def _indices(place: str) -> Indices:
    return tuple(int(index) for index in _INDEX.findall(place))


def _filled(template: str, sides: Sequence[str]) -> str:
    for side in sides:
        template = template.replace("[]", f"[{side.replace(', ', ',')}]", 1)
    return template
