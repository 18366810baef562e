"""Secure EPT entries have the encodings and states of tdx-module.md 5, and a lock that hosts and guests share."""

from __future__ import annotations

import pytest

from septum.designs import dpamt_merged
from septum.host.entry import SEPT_FREE, describe
from septum.tdx.guest import Accepted, tdg_mem_page_accept
from septum.tdx.mem_page import tdh_mem_page_aug, tdh_mem_page_remove
from septum.tdx.mem_range import tdh_mem_range_block
from septum.tdx.mem_sept import tdh_mem_sept_add
from septum.tdx.pairs import tdh_phymem_pamt_remove
from septum.tdx.sept import (
    TDB,
    TDEL,
    TDHP,
    SeptState,
    host_lock,
    mapped_leaf,
    mapped_table,
    pending_leaf,
    sept_page,
    sept_state,
    sept_table,
)
from septum.tdx.status import CODES, Status
from septum.tdx.tracking import td_exit, tdh_mem_track, tdh_vp_enter
from tests.machine import run, steps, world


def test_the_worked_values_of_the_reference():
    with world():
        assert SEPT_FREE == 0x80E0000000000000
        assert mapped_leaf(0x12) == 0x80000000000004F7 | 0x12 << 12
        assert pending_leaf(0x12) == 0x81000000000000F0 | 0x12 << 12


def test_every_state_is_read_from_its_bits():
    with world():
        states = {
            SEPT_FREE: SeptState.FREE, mapped_table(5): SeptState.NL_MAPPED, mapped_leaf(5): SeptState.MAPPED,
            pending_leaf(5): SeptState.PENDING, pending_leaf(5) | TDB: SeptState.PENDING_BLOCKED,
            (mapped_leaf(5) & ~0x407) | TDB: SeptState.BLOCKED, (mapped_table(5) & ~0x407) | TDB: SeptState.NL_BLOCKED,
        }  # fmt: skip
        for word, state in states.items():
            for locked in (word, word | TDEL, word | TDHP):
                assert sept_state(locked) == state
            assert state == SeptState.FREE or sept_page(word) == 5
            assert state.name in describe(word)


def test_each_status_has_its_real_code():
    assert set(CODES) == set(Status)
    assert CODES[Status.TDX_OPERAND_BUSY] == 0x8000020000000000
    assert CODES[Status.TDX_MISSING_PAMT_PAGE_PAIR] == 0x8000030800000000


def mapped(made):
    """A TD with tables down to GFN 0 and a pending page there; machine, TD and page."""
    td, page = made.td(), made.page(6)
    td.link(0, 2)
    td.link(0, 1)
    assert run(tdh_mem_page_aug(made.m, td.vm, 0, 1, page)) == Status.TDX_SUCCESS
    return made.m, td.vm, page


def test_a_page_goes_in_pending_is_accepted_and_comes_out_blocked_and_tracked():
    with world(fixed=9) as made:
        m, vm, page = mapped(made)
        assert state(m, vm) == SeptState.PENDING
        assert run(tdg_mem_page_accept(m, vm, 0, 1)) == Accepted.DONE
        assert state(m, vm) == SeptState.MAPPED
        assert run(tdh_mem_page_remove(m, vm, 0, 1)) == Status.TDX_GPA_RANGE_NOT_BLOCKED
        assert run(tdh_mem_range_block(m, vm, 0, 1)) == Status.TDX_SUCCESS
        assert run(tdh_mem_range_block(m, vm, 0, 1)) == Status.TDX_GPA_RANGE_ALREADY_BLOCKED
        assert run(tdh_mem_page_remove(m, vm, 0, 1)) == Status.TDX_TLB_TRACKING_NOT_DONE
        assert run(tdh_mem_track(m, vm)) == Status.TDX_SUCCESS
        assert run(tdh_mem_page_remove(m, vm, 0, 1)) == Status.TDX_SUCCESS
        assert state(m, vm) == SeptState.FREE
        assert m.frame[page].type == 0


def test_a_vcpu_of_the_old_epoch_stops_remove_and_the_next_track():
    with world(fixed=9) as made:
        m, vm, _ = mapped(made)
        run(tdh_vp_enter(m, vm, 1))
        run(tdh_mem_range_block(m, vm, 0, 1))
        assert run(tdh_mem_track(m, vm)) == Status.TDX_SUCCESS
        assert run(tdh_mem_page_remove(m, vm, 0, 1)) == Status.TDX_TLB_TRACKING_NOT_DONE
        assert run(tdh_mem_track(m, vm)) == Status.TDX_PREVIOUS_TLB_EPOCH_BUSY
        td_exit(m, vm, 1, False)
        assert run(tdh_mem_page_remove(m, vm, 0, 1)) == Status.TDX_SUCCESS


def test_between_its_two_steps_a_seamcall_makes_others_busy():
    with world(fixed=9) as made:
        m, vm, _ = mapped(made)
        blocking = steps(tdh_mem_range_block(m, vm, 0, 1), 2)
        assert run(tdh_mem_page_remove(m, vm, 0, 1)) == Status.TDX_OPERAND_BUSY
        run(blocking)
        assert run(tdh_mem_track(m, vm)) == Status.TDX_SUCCESS


def test_an_accept_that_holds_the_entry_gives_the_host_priority_next():
    with world(fixed=9) as made:
        m, vm, _ = mapped(made)
        accepting = steps(tdg_mem_page_accept(m, vm, 0, 1), 1)
        assert run(tdh_mem_range_block(m, vm, 0, 1)) == Status.TDX_OPERAND_BUSY
        run(accepting)
        assert entry(m, vm) & TDHP
        assert run(tdh_mem_range_block(m, vm, 0, 1)) == Status.TDX_SUCCESS
        assert not entry(m, vm) & (TDHP | TDEL)


def test_a_guest_waits_for_a_host_that_has_priority():
    with world(fixed=9) as made:
        m, vm, _ = mapped(made)
        table = sept_table(m, vm, 0, 1)
        m.table[table].word[0] |= TDEL
        assert not host_lock(m, table, 0)
        m.table[table].word[0] &= ~TDEL & (1 << 64) - 1
        assert run(tdg_mem_page_accept(m, vm, 0, 1)) == Accepted.BUSY


def test_without_a_table_there_is_no_walk_and_the_guest_leaves():
    with world(fixed=5) as made:
        td, page = made.td(), made.page(6)
        assert run(tdh_mem_page_aug(made.m, td.vm, 0, 1, page)) == Status.TDX_EPT_WALK_FAILED
        assert run(tdg_mem_page_accept(made.m, td.vm, 0, 1)) == Accepted.VIOLATION
        assert not made.m.td[td.vm].tree.readers
        assert not made.m.td[td.vm].tdr_lock.readers


def test_a_page_at_4k_needs_the_pair_of_its_range():
    with world(design=dpamt_merged, fixed=7) as made:
        td, page = made.td(), made.page(4)
        own_range = 1  # among the ranges in use comes that of the TD's control pages first, then one of the page's own
        status = run(tdh_mem_sept_add(made.m, td.vm, 0, 3, page), choices=[own_range])
        assert status == Status.TDX_MISSING_PAMT_PAGE_PAIR


def entry(m, vm):
    return m.table[sept_table(m, vm, 0, 1)].word[0]


def state(m, vm):
    return sept_state(entry(m, vm))


def test_removing_a_pair_between_the_halves_of_a_free_stops_the_module():
    with world(design=dpamt_merged, fixed=15) as made:
        m, td, page = made.m, made.td(), made.page(6)
        own = made.range(page, closed=True)
        made.back(own, 0)
        td.link(0, 2)
        td.link(0, 1)
        for leaf in (tdh_mem_page_aug(m, td.vm, 0, 1, page), tdh_mem_range_block(m, td.vm, 0, 1), tdh_mem_track(m, td.vm)):
            assert run(leaf) == Status.TDX_SUCCESS
        assert run(tdh_phymem_pamt_remove(m, own)) == Status.TDX_PAMT_PAGE_NOT_EMPTY
        freeing = steps(tdh_mem_page_remove(m, td.vm, 0, 1), 3)
        with pytest.raises(AssertionError, match="fatal"):
            run(tdh_phymem_pamt_remove(m, own))
        m.pamt[own].lock.exclusive = False
        assert run(freeing) == Status.TDX_SUCCESS
        assert run(tdh_phymem_pamt_remove(m, own)) == Status.TDX_SUCCESS
