"""TDMRs are made of a memory map as Linux makes them: whole blocks, PAMTs in memory of their own, holes reserved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septum.host.tdmrs import GIB, PAGE, Shape, construct_tdmrs, pamt_sizes
from septum.lang import UserError

MIB = 1 << 20


def test_a_region_becomes_whole_blocks_with_what_is_no_memory_reserved():
    (tdmr,) = construct_tdmrs([(MIB, 3 * GIB + 512 * MIB)])
    assert (tdmr.base, tdmr.size) == (0, 4 * GIB)
    chunk = tdmr.pamt[0][0]
    assert tdmr.pamt[2][1] == 3 * GIB + 512 * MIB
    assert tdmr.reserved == ((0, MIB), (chunk, 3 * GIB + 512 * MIB), (3 * GIB + 512 * MIB, 4 * GIB))


def test_pamts_cost_what_the_reference_says():
    assert pamt_sizes(GIB, Shape()) == (4 * MIB, 8 * 1024, PAGE)
    assert pamt_sizes(GIB, Shape(dynamic=True)) == (32 * 1024, 8 * 1024, PAGE)


def test_the_three_pamts_are_one_chunk_in_the_order_4k_2m_1g():
    (tdmr,) = construct_tdmrs([(GIB, 2 * GIB)])
    fine, coarse, gigantic = tdmr.pamt
    assert fine[1] == coarse[0]
    assert coarse[1] == gigantic[0]


def test_a_region_in_the_block_of_the_one_before_does_not_get_another():
    one, two = construct_tdmrs([(GIB, 2 * GIB + 256 * MIB), (2 * GIB + 512 * MIB, 4 * GIB)])
    assert (one.base, one.end, two.base, two.end) == (GIB, 3 * GIB, 3 * GIB, 4 * GIB)
    assert (2 * GIB + 256 * MIB, 2 * GIB + 512 * MIB) in one.reserved


def test_a_map_with_too_many_holes_fails():
    holes = [(GIB + n * 32 * MIB, GIB + n * 32 * MIB + 16 * MIB) for n in range(20)]
    with pytest.raises(UserError, match="reserved areas, and has 16: -ENOSPC"):
        construct_tdmrs(holes)


def test_a_map_with_too_many_regions_fails():
    with pytest.raises(UserError, match="more than 64 TDMRs"):
        construct_tdmrs([(2 * n * GIB, (2 * n + 1) * GIB) for n in range(1, 66)])


@pytest.mark.parametrize("regions", [60, 61, 64])
def test_linux_warns_where_fewer_than_four_tdmrs_are_left(regions):
    memory = [(2 * n * GIB, (2 * n + 1) * GIB) for n in range(1, regions + 1)]
    if regions == 60:
        assert len(construct_tdmrs(memory)) == 60
    else:
        with pytest.warns(UserWarning, match=f"{regions} used out of 64"):
            construct_tdmrs(memory)


def test_a_map_without_room_for_a_pamt_fails():
    with pytest.raises(UserError, match="-ENOMEM"):
        construct_tdmrs([(GIB, GIB + MIB)])


@given(st.lists(st.integers(1, 4000), min_size=2, max_size=10, unique=True))
def test_whatever_the_map_every_byte_of_memory_is_in_one_tdmr_and_no_pamt_in_use(places):
    edges = sorted(place * 64 * MIB for place in places)
    memory = list(zip(edges[::2], edges[1::2], strict=False))
    try:
        tdmrs = construct_tdmrs(memory)
    except UserError:
        return
    for begin, end in memory:
        for at in (begin, end - PAGE):
            assert sum(tdmr.base <= at < tdmr.end for tdmr in tdmrs) == 1
    for tdmr in tdmrs:
        for begin, end in tdmr.pamt:
            assert any(a <= begin and end <= b for a, b in memory)
            for other in tdmrs:
                inside = max(begin, other.base), min(end, other.end)
                assert inside[0] >= inside[1] or any(a <= inside[0] and inside[1] <= b for a, b in other.reserved)
