"""Hosts have the free memory that is asked for, where their kind of host has it; costs say where their numbers come from."""

from pathlib import Path

import pytest

from septum.lang import UserError
from septum.simulate.costs import read_costs
from septum.simulate.hosts import BLOCK_PAGES, FRAGMENTED, FRESH, GIB_PAGES, Host, host

BUDDYINFO = "Node 0, zone   Normal   10 0 3 0 0 0 0 0 0 0 7\nNode 1, zone   Normal   0 9 0 0 0 0 0 0 0 0 1\n"


def free_pages(on: Host) -> list[int]:
    return [page + at for page, pattern in on.free_at for offset, order in pattern for at in range(offset, offset + (1 << order))]


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("name", [FRESH, FRAGMENTED])
def test_no_page_is_free_twice_and_there_are_enough(name: str, nodes: int) -> None:
    on = host(name, GIB_PAGES // 2, nodes)
    pages = free_pages(on)
    assert len(pages) == len(set(pages)) == on.free >= GIB_PAGES // 2
    assert all(any(begin <= page < end for begin, end in on.nodes) for page in pages)


def test_a_fragmented_host_has_half_of_its_memory_free_and_no_whole_2m() -> None:
    on = host(FRAGMENTED, GIB_PAGES // 2)
    assert on.free * 2 == sum(end - begin for begin, end in on.nodes)
    assert max(order for _, pattern in on.free_at for _, order in pattern) < 9


def test_a_host_from_buddyinfo_has_its_free_blocks(tmp_path: Path) -> None:
    path = tmp_path / "buddyinfo"
    path.write_text(BUDDYINFO)
    on = host(str(path), 1)
    assert len(on.nodes) == 2
    assert on.free == 10 + 3 * 4 + 9 * 2 + 8 * BLOCK_PAGES == len(set(free_pages(on)))


@pytest.mark.parametrize("text", ["Node 0, zone Normal one two", "MemTotal: 1 kB"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "buddyinfo"
    path.write_text(text)
    with pytest.raises(UserError, match="no line of /proc/buddyinfo"):
        host(str(path), 1)


def test_dynamic_pamt_sets_less_than_a_tenth_aside() -> None:
    on = host(FRESH, GIB_PAGES)
    assert 0 < 10 * on.pamt(True) < on.pamt(False)


def test_a_file_of_costs_is_read_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    path.write_text('[leaf.tdh_mem_sept_add]\nnanoseconds = 1234\nsource = "a bench"\nmeasured = true\n')
    costs = read_costs(str(path))
    assert (costs.of("tdh_mem_sept_add").nanoseconds, costs.of("tdh_mem_sept_add").measured) == (1234, True)
    assert costs.basics == read_costs().basics


@pytest.mark.parametrize("text", ["[leaf.x]\nnanoseconds = -1", "[lief]", "[step]\nnanoseconds = 1\npart_of = 'nothing'", "="])
def test_a_file_of_wrong_costs_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.toml"
    path.write_text(text)
    with pytest.raises(UserError, match="--costs"):
        read_costs(str(path))
