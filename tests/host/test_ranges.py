"""Which 2M range a page lies in is decided when it matters: any that is in use, or a fresh one."""

from __future__ import annotations

from septum.designs import dpamt_merged
from septum.host.geometry import ENTRIES, LAZY_RANGES, RANGES
from septum.host.ranges import candidates, has_fresh, place, range_of
from septum.lang.types import scope
from tests.machine import run, world


def test_pages_may_share_a_range_or_not():
    with world(design=dpamt_merged) as made:
        m = made.m
        assert candidates(m) == 0
        run(place(m, 8), [0])
        assert candidates(m) == 1
        run(place(m, 9), [0])
        run(place(m, 10), [1])
        assert range_of(m, 8) == range_of(m, 9) != range_of(m, 10)
        assert (m.range[range_of(m, 8)].placed, candidates(m)) == (2, 2)


def test_a_page_stays_where_it_is():
    with world(design=dpamt_merged) as made:
        run(place(made.m, 8), [0])
        before = bytes(made.m)
        run(place(made.m, 8))
        assert bytes(made.m) == before


def test_no_page_lies_in_a_closed_range():
    with world(design=dpamt_merged) as made:
        made.range(closed=True)
        made.m.range[1].refcount = 1
        assert candidates(made.m) == 0


def test_where_every_range_is_in_use_pages_share_them():
    with world(design=dpamt_merged) as made:
        m = made.m
        page = 8
        while has_fresh(m):
            run(place(m, page), [candidates(m)])
            page += 1
        assert candidates(m) == RANGES.value - 1 == page - 8
        run(place(m, page), [2])
        assert range_of(m, page) == range_of(m, 10)


def test_at_real_geometry_a_range_is_a_matter_of_the_page_number():
    with scope({LAZY_RANGES: 0, RANGES: 100, ENTRIES: 512}):
        assert range_of(None, 512 * 7 + 3) == 7
