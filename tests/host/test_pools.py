"""kvm_mmu_memory_cache and the lists: filled to capacity or to a number, failures, and what an empty one does."""

from __future__ import annotations

import pytest

from septum.designs import dpamt_merged
from septum.host.frames import Content, Role
from septum.host.geometry import (
    CACHE_CAPACITY,
    ENTRIES,
    ENTRY_BITS,
    GFNS,
    LEVELS,
    PT64_ROOT_MAX_LEVEL,
    index_at,
    leaf_base,
    pages_per_leaf,
    table_base,
)
from septum.host.locks import write_lock
from septum.host.pools import (
    Errno,
    free_list,
    kvm_mmu_free_memory_cache,
    kvm_mmu_memory_cache_alloc,
    kvm_mmu_topup_memory_cache,
    pop,
    topup_list,
)
from septum.host.rcu import call_rcu, callback_ready, dequeue_callback, rcu_read_lock, rcu_read_unlock
from septum.lang.processes import running
from septum.lang.types import scope
from tests.machine import run, world


def cache(made):
    return made.m.vcpu[1].mmu_shadow_page_cache


def test_a_topup_fills_to_capacity_and_only_when_less_than_the_minimum_is_there():
    with world() as made:
        mc = cache(made)
        mc.content = Content.NONPRESENT
        assert run(kvm_mmu_topup_memory_cache(made.m, mc, 2)) == Errno.OK
        assert mc.nobjs == CACHE_CAPACITY.value == 3
        page = run(kvm_mmu_memory_cache_alloc(made.m, mc))
        assert made.m.frame[page].role == Role.HAND
        assert [made.m.table[page].word[i] for i in range(2)] == [0x8000000000000000] * 2
        run(kvm_mmu_topup_memory_cache(made.m, mc, 2))
        assert mc.nobjs == 2
        kvm_mmu_free_memory_cache(made.m, mc)
        assert mc.nobjs == 0


@pytest.mark.parametrize(("failing", "error", "filled"), [(1, Errno.ENOMEM, 0), (2, Errno.ENOMEM, 1), (3, Errno.OK, 2)])
def test_a_failed_allocation_leaves_what_came_before(failing, error, filled):
    with world() as made:
        made.m.failures = 1
        assert run(kvm_mmu_topup_memory_cache(made.m, cache(made), 2), [failing]) == error
        assert (cache(made).nobjs, made.m.failures) == (filled, 0)


def test_a_topup_under_a_lock_is_a_violation_if_it_has_to_allocate():
    with world() as made:
        run(kvm_mmu_topup_memory_cache(made.m, cache(made), 1))
        run(write_lock(made.m, made.m.vm[1].mmu_lock))
        run(kvm_mmu_topup_memory_cache(made.m, cache(made), 1))
        with pytest.raises(AssertionError, match="context: a call that may sleep while a spinning lock is held"):
            run(kvm_mmu_topup_memory_cache(made.m, made.m.vcpu[2].mmu_shadow_page_cache, 1))


def test_a_list_is_filled_to_exactly_the_number():
    with world(design=dpamt_merged) as made:
        pool = made.m.vcpu[1].design.pamt_cache
        assert run(topup_list(made.m, pool, 4, 1)) == Errno.OK
        assert pool.cnt == 4
        assert made.m.frame[pop(made.m, pool)].role == Role.HAND
        free_list(made.m, pool)
        assert pool.cnt == 0


def test_rcu_callbacks_wait_for_the_sections_that_were_open_and_keep_their_order():
    with world() as made:
        m = made.m
        running.thread = 1
        rcu_read_lock(m)
        running.thread = 0
        call_rcu(m, 5)
        running.thread = 1
        rcu_read_lock(m)
        rcu_read_unlock(m)
        assert not callback_ready(m)
        rcu_read_unlock(m)
        call_rcu(m, 6)
        assert callback_ready(m)
        assert [dequeue_callback(m), dequeue_callback(m)] == [5, 6]
        assert not callback_ready(m)


def test_gfns_are_taken_apart_as_the_hardware_does():
    with scope({ENTRIES: 512, LEVELS: 5, GFNS: 1 << 40}):
        assert (ENTRY_BITS.value, PT64_ROOT_MAX_LEVEL.value) == (9, 5)
        gfn = 3 << 27 | 5 << 18 | 7 << 9 | 11
        assert [index_at(gfn, level) for level in (1, 2, 3, 4)] == [11, 7, 5, 3]
        assert (table_base(gfn, 1), leaf_base(gfn, 2), leaf_base(gfn, 1)) == (gfn - 11, gfn - 11, gfn)
        assert [pages_per_leaf(level) for level in (1, 2, 3)] == [1, 512, 512 * 512]
