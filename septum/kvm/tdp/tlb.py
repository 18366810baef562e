"""The CPU below KVM: it walks direct tables, sets A and D, keeps translations, and loses them when KVM asks; kvm-mmu.md 4.1.

It takes no lock and knows no RCU: tables and pages are there for it until a flush of its TLB has been waited for.
"""

from septum.host.geometry import LEVELS, Gfn, Level, Pfn, VcpuId, VmId
from septum.kvm.machine import Machine
from septum.kvm.memslots import Hva, slot_at
from septum.kvm.requests import kvm_make_all_cpus_request
from septum.kvm.tdp.changed_spte import is_leaf
from septum.kvm.tdp.direct import COPIES_ON_WRITE, Copy, direct_index, read_direct
from septum.kvm.tdp.spte import (
    AD_DISABLED,
    SHADOW_ACC_TRACK_MASK,
    SHADOW_ACCESSED_MASK,
    SHADOW_DIRTY_MASK,
    is_access_allowed,
    is_mmio_spte,
    is_shadow_present_pte,
    is_writable_pte,
    page_of,
    spte_to_pfn,
)
from septum.lang import Enum, Size, Witness, atomic, commutes, each, process, reached

PML = Size("PML", 0)  # the CPU logs pages whose D bit it sets; dirty logging clears D bits instead of W

guest_wrote = Witness("guest_wrote", "the guest wrote a page through a direct mapping")
tlb_used = Witness("tlb_used", "a vCPU used a translation that its TLB had kept")
tlb_flushed = Witness("tlb_flushed", "a vCPU lost its translations")


class Acc(Enum):
    """What the guest does, as the exit qualification of an EPT violation says it."""

    READ = 0
    WRITE = 1
    INSTR = 2  # an instruction fetch


class Access(Enum):
    """How an access of the guest ends."""

    DONE = 0
    VIOLATION = 1  # EPT violation: nothing is mapped, or with no permission at all
    MISCONFIG = 2  # EPT misconfiguration, or #VE of a TD: MMIO
    KICKED = 3  # an IPI came first
    PAGE_FAULT = 4  # #PF in the guest, of which the host hears nothing
    PROTECTED = 5  # EPT violation: mapped, and not for this access


@process
def kvm_flush_remote_tlbs(m: Machine, vm: VmId):
    """kvm_flush_remote_tlbs() [7.1]: every vCPU that is in the guest comes out; each flushes before it enters again."""
    yield
    request_tlb_flush(m, vm)
    yield from kvm_make_all_cpus_request(m, vm)


def request_tlb_flush(m: Machine, vm: VmId):
    """KVM_REQ_TLB_FLUSH."""
    commutes("a vCPU that enters before its own request is set gets an IPI after it")
    for vcpu in each(VcpuId):
        if m.vcpu[vcpu].vm == vm:
            m.vcpu[vcpu].direct.tlb_flush = True


def flush_tlb(m: Machine, vcpu: VcpuId):
    """kvm_vcpu_flush_tlb_all() [7.1]."""
    tlb = m.vcpu[vcpu].direct.tlb
    if tlb.page != 0:
        reached(tlb_flushed)
    tlb.page = 0
    tlb.gfn = 0
    tlb.writable = False
    tlb.dirty = False


@process
def guest_access(m: Machine, vcpu: VcpuId, gfn: Gfn, acc: Acc):
    """One access of the guest: through the TLB, or after a walk from the root that was loaded; the walk is no atomic snapshot.

    A TD executes no shared memory: its CPU looks at the shared bit before it looks at the EPT.
    """
    vm = m.vcpu[vcpu].vm
    write = acc == Acc.WRITE
    yield
    atomic("an IPI may be late, and the CPU reads a leaf, sets its bits and uses it in one locked access")
    if m.vcpu[vcpu].kicked:
        return Access.KICKED
    if acc == Acc.INSTR and m.vm[vm].direct.gfn_direct_bits != 0:
        return Access.PAGE_FAULT
    tlb = m.vcpu[vcpu].direct.tlb
    if tlb.page != 0 and tlb.gfn == gfn and (not write or (tlb.writable and tlb.dirty)):
        reached(tlb_used)
        touch_memory(m, vcpu, gfn, tlb.page, write)
        return Access.DONE
    spt = m.vcpu[vcpu].direct.root
    level = Level(LEVELS)
    walking = True
    while walking:
        entry = read_direct(m, spt, direct_index(m, vm, gfn, level))
        if is_mmio_spte(entry, m.vm[vm].direct.shadow_mmio_value):
            return Access.MISCONFIG
        if not is_shadow_present_pte(entry):
            return Access.VIOLATION
        walking = not is_leaf(entry, level)
        if walking:
            spt = spte_to_pfn(entry)
            level = Level(level - 1)
            yield
            atomic("as above")
            if m.vcpu[vcpu].kicked:
                return Access.KICKED
    if not is_access_allowed(write, entry):
        return Access.PROTECTED if entry & SHADOW_ACC_TRACK_MASK != 0 else Access.VIOLATION
    translate(m, vcpu, spt, gfn, level, write)
    touch_memory(m, vcpu, gfn, m.vcpu[vcpu].direct.tlb.page, write)
    return Access.DONE


def translate(m: Machine, vcpu: VcpuId, spt: Pfn, gfn: Gfn, level: Level, write: bool):
    """The last access of a walk is a locked one: it sets A, and D for a write, in the entry that it uses; PML logs a new D."""
    atomic("the CPU reads the leaf, sets its bits and uses it in one locked access")
    vm = m.vcpu[vcpu].vm
    i = direct_index(m, vm, gfn, level)
    entry = m.table[spt].word[i]
    if write and PML and entry & SHADOW_DIRTY_MASK == 0:
        m.vcpu[vcpu].direct.pml[gfn] = True
    if not AD_DISABLED:
        m.table[spt].word[i] = entry | SHADOW_ACCESSED_MASK | (SHADOW_DIRTY_MASK if write else 0)
    tlb = m.vcpu[vcpu].direct.tlb
    tlb.page = page_of(entry, level, gfn)
    tlb.gfn = gfn
    tlb.writable = is_writable_pte(entry)
    tlb.dirty = AD_DISABLED or write or entry & SHADOW_DIRTY_MASK != 0


def touch_memory(m: Machine, vcpu: VcpuId, gfn: Gfn, page: Pfn, write: bool):
    """The load or store itself: the page must still be the VMM's, at some HVA."""
    atomic("the translation is used when it was looked up; that it may be stale by then is what is asserted")
    vm = m.vcpu[vcpu].vm
    assert is_host_page(m, vm, gfn, page), f"translation: the guest uses page {page} at GFN {gfn} after the host took it away"
    if write:
        if COPIES_ON_WRITE:
            assert not is_shared_page(m, vm, gfn), f"translation: the guest writes at GFN {gfn} to a page that the host shares"
        if m.vm[vm].direct.copy[gfn] == Copy.CURRENT:
            m.vm[vm].direct.copy[gfn] = Copy.STALE
        reached(guest_wrote)


def is_shared_page(m: Machine, vm: VmId, gfn: Gfn):
    """Whether the primary MMU maps the page of `gfn` read-only."""
    memslot = m.vm[vm].memslots.memslot[slot_at(m, vm, gfn)]
    return m.vm[vm].direct.mm.read_only[Hva(memslot.hva + gfn - memslot.base_gfn)]


def is_host_page(m: Machine, vm: VmId, gfn: Gfn, page: Pfn):
    """Whether `gfn` lies in a memslot, and the primary MMU has this page at its HVA."""
    slot = slot_at(m, vm, gfn)
    if slot == 0:
        return False
    memslot = m.vm[vm].memslots.memslot[slot]
    return m.vm[vm].direct.mm.page[Hva(memslot.hva + gfn - memslot.base_gfn)] == page
