"""The flags and counters by which KVM's parts agree among themselves; kvm-mmu.md 7.2."""

from septum.host.geometry import GFNS, Gfn, Level, VmId, index_at
from septum.kvm.machine import SPLITS_UNDER_READ_LOCK, Machine, TdState
from septum.kvm.tdp.spte import is_shadow_present_pte
from septum.kvm.tdp.tdp_mmu import table_at
from septum.kvm.versions import KERNEL, V6_19
from septum.kvm.virt.attributes import has_private_leaf
from septum.kvm.virt.hwpoison import HWPOISON, is_poisoned
from septum.lang import each, u8
from septum.tdx.geometry import BUILDS
from septum.tdx.sept import SeptState, entry_of, sept_state


def protocol(m: Machine):
    """Always: I16 to I19."""
    for vm in each(VmId):
        kvm = m.vm[vm]
        if not SPLITS_UNDER_READ_LOCK:
            held = kvm.mmu_lock.writer != 0
            assert held or not kvm.wait_for_sept_zap, "protocol: vCPUs are kept out, and nobody holds mmu_lock for write (I16)"
        if BUILDS:
            runs = kvm.life.state == TdState.RUNNABLE
            assert runs or not kvm.life.pre_fault_allowed, "protocol: prefaults are allowed, and the TD is not RUNNABLE (I17)"
            if KERNEL < V6_19 and not runs and kvm.slots_lock.writer == 0 and kvm.mmu_lock.writer == 0 and kvm.mirror_root != 0:
                found = premapped(m, vm)
                assert found == kvm.life.nr_premapped, f"protocol: {found} leaves are premapped, and not nr_premapped (I19)"


def premapped(m: Machine, vm: VmId):
    """How many leaves of the mirror have no page in the S-EPT."""
    found = u8(0)
    for gfn in range(GFNS):
        spt = table_at(m, vm, Gfn(gfn), Level(1))
        if spt != 0 and is_shadow_present_pte(m.table[spt].word[index_at(Gfn(gfn), Level(1))]):
            if sept_state(entry_of(m, vm, Gfn(gfn), Level(1))) == SeptState.FREE:
                found = u8(found + 1)
    return found


def poison(m: Machine):
    """At rest: no private leaf maps a page whose memory failed; kvm-mmu.md 6.4."""
    if HWPOISON:
        for vm in each(VmId):
            for gfn in range(GFNS):
                mapped = m.vm[vm].mirror_root != 0 and has_private_leaf(m, vm, Gfn(gfn))
                assert not mapped or not is_poisoned(m, vm, Gfn(gfn)), f"poison: GFN {gfn} maps a page whose memory failed"
