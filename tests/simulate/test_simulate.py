"""A TD at real geometry: what it takes is what its pages and tables need, and at its end nothing is left."""

import pytest

from septum.check.loading import load
from septum.simulate.costs import read_costs
from septum.simulate.simulate import Options, Simulated, simulate
from septum.simulate.workloads import WORKLOADS

PAGES = 1 << 14
"""64 MiB: 32 tables of level 1, one each of 2 and 3, and the root."""

TABLES = PAGES // 512 + 2


def run(design: str, workload: str = "teardown", **options: object) -> Simulated:
    return simulate(load(design), WORKLOADS[workload], Options(**{"pages": PAGES, **options}), read_costs())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def v5(quickly_compiled: None) -> Simulated:
    return run("dpamt_v5")


def test_every_page_goes_through_the_module_and_back(v5: Simulated) -> None:
    assert v5.touched == PAGES
    assert v5.count("tdh_mem_page_add") + v5.count("tdh_mem_page_aug") == PAGES
    assert v5.count("tdh_mem_page_remove") == v5.count("tdh_mem_range_block") == PAGES


def test_tables_are_those_that_the_memory_needs(v5: Simulated) -> None:
    assert v5.count("tdh_mem_sept_add") == TABLES
    assert (v5.peak["SPT"], v5.peak["EXTERNAL"], v5.peak["GUEST"]) == (TABLES + 1, TABLES, PAGES)


def test_a_fresh_host_needs_a_pair_for_each_2m_of_the_td_and_a_few_for_its_tables(v5: Simulated) -> None:
    assert PAGES // 512 <= v5.count("tdh_phymem_pamt_add") <= PAGES // 512 + 4
    assert v5.count("tdh_phymem_pamt_remove") == v5.count("tdh_phymem_pamt_add")


def test_nothing_is_left_at_the_end(v5: Simulated) -> None:
    assert v5.finished
    assert not v5.leaks
    assert not any(v5.pages.values())


def test_the_samples_go_on_in_time_and_show_the_memory_grow_and_go(v5: Simulated) -> None:
    times = [one.seconds for one in v5.samples]
    assert times == sorted(times)
    assert max(sum(one.pages) for one in v5.samples) > PAGES > sum(v5.samples[-1].pages)
