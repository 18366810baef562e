"""Carrying a split to the S-EPT: BLOCK, TRACK, DEMOTE with a pair, and the count of the guest range; designs.md 4.8, 5.8, 5.9."""

from septum.host.frames import Role, free_page, take
from septum.host.geometry import ENTRIES, Gfn, Level, Pfn, VmId
from septum.host.pools import OK
from septum.host.ranges import range_of
from septum.kvm.bug import tdx_bug_on
from septum.kvm.machine import Machine
from septum.kvm.seam.pamt import lock_pamt, unlock_pamt
from septum.kvm.vmx.tdx import block, no_vcpus_enter_start, no_vcpus_enter_stop, tdx_track
from septum.lang import Size, process
from septum.tdx.demote import tdh_mem_page_demote
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_SUCCESS

DEMOTE_GUARDED = Size("DEMOTE_GUARDED", 0)  # DEMOTE and the count of its range under pamt_lock
DEMOTE_TRIED_FIRST = Size("DEMOTE_TRIED_FIRST", 0)  # without the lock at first, and under it only if that is busy
COUNT_COMPARED = Size("COUNT_COMPARED", 1)  # the count is compared with 0 before it is set, with a WARN_ON_ONCE


@process
def block_and_track(m: Machine, vm: VmId, gfn: Gfn):
    """A 2M entry is blocked, and no vCPU has a translation of it any more. Errno."""
    error = yield from block(m, vm, gfn, Level(2))
    if error != OK:
        return error
    return (yield from tdx_track(m, vm))


@process
def tdx_demote(m: Machine, vm: VmId, gfn: Gfn, page: Pfn, external: Pfn, page0: Pfn, page1: Pfn):
    """DEMOTE with a pair in hand, freed if it fails; a busy one is repeated, with the same pair and no vCPU inside. Errno."""
    take(m, page0, Role.HAND, Role.PAIR)
    take(m, page1, Role.HAND, Role.PAIR)
    if DEMOTE_GUARDED:
        yield from lock_pamt(m)
    status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
    if DEMOTE_TRIED_FIRST:
        if status == TDX_OPERAND_BUSY:
            yield from lock_pamt(m)
            status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
            unlock_pamt(m)
    if status == TDX_OPERAND_BUSY:
        yield from no_vcpus_enter_start(m, vm)
        status = yield from tdh_mem_page_demote(m, vm, gfn, Level(2), external, page0, page1)
        no_vcpus_enter_stop(m, vm)
    if status == TDX_SUCCESS:
        count_small_pages(m, page)
    if DEMOTE_GUARDED:
        unlock_pamt(m)
    if status != TDX_SUCCESS:
        free_page(m, page0, Role.PAIR)
        free_page(m, page1, Role.PAIR)
        return tdx_bug_on(m, vm, status)
    return OK


def count_small_pages(m: Machine, page: Pfn):
    """The 4K leaves of a 2M page that was split are its users: each puts once when it is removed."""
    r = range_of(m, page)
    if COUNT_COMPARED:
        assert m.range[r].refcount == 0, f"backing: the range {r} of a 2M leaf had users at 4K: WARN_ON_ONCE"
    m.range[r].refcount = ENTRIES
