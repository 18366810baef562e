"""Direct trees of a plain VM: faults beside MMU notifiers, aging, fast zaps, NX recovery.

What can go wrong: a fault installs a page that the host took away meanwhile; a vCPU uses a translation that is no longer there; a
root is freed that somebody still walks, or the last reference of a valid one is put; a table is looked into after its free.
"""

from collections.abc import Mapping

from septum.host.frames import Role
from septum.host.geometry import FIXED_PAGES, VCPUS
from septum.kvm.bug import lost_race, met_frozen
from septum.kvm.machine import SP_DIRECT, VCPU_DIRECT, VM_DIRECT, VM_MEMSLOTS, VmState
from septum.kvm.memslots import HVAS, MEMSLOTS, SLOT_IDS, Memslots
from septum.kvm.mmu.direct_fault import fixed_fast, restored
from septum.kvm.mmu.mmu import root_obsolete, stale_fault
from septum.kvm.mmu.nx_recovery import kvm_recover_nx_huge_pages, nx_recovered, nx_recovered_late
from septum.kvm.tdp.changed_spte import PROVE_MMU, table_removed, tables_removed
from septum.kvm.tdp.direct import COPIES_ON_WRITE, DIRECT, RESCHED, SpRole, VcpuDirect, VmDirect
from septum.kvm.tdp.roots import fast_zap, root_allocated, root_found, root_freed
from septum.kvm.tdp.spte import AD_DISABLED, MMIO_VALUE
from septum.kvm.tdp.tdp_mmu import direct_mapped
from septum.kvm.tdp.tlb import Acc, guest_wrote, tlb_flushed
from septum.kvm.tdp.walk import yielded
from septum.kvm.virt.aging import aged, aged_too_late, kvm_age_hva
from septum.kvm.virt.notifier import (
    host_write,
    leaf_zapped,
    madvise_dontneed,
    page_copied,
    page_unmapped,
    write_protect_hva,
)
from septum.kvm.x86.direct_run import access, accessed
from septum.kvm.x86.plain_vm import destroy_plain_vm
from septum.kvm.x86.vm import close_vcpu, rcu_softirq, vm_destroyed
from septum.lang import Size, call
from septum.scenarios.scopes import WIDE
from septum.scenarios.world import TWO_VCPUS, Td, World, scenario

PLAIN: Mapping[Size, object] = {
    DIRECT: 1, MEMSLOTS: 2, HVAS: 2, VM_MEMSLOTS: Memslots, VM_DIRECT: VmDirect, VCPU_DIRECT: VcpuDirect, SP_DIRECT: SpRole,
    FIXED_PAGES: 2, RESCHED: WIDE,
}  # fmt: skip


def plain_vm(world: World, pages: int = 1, folio: int = 0) -> Td:
    """A VM that is no TD: the VMM has mapped so many pages; one slot, number 0, has them from GFN 0 on.

    With `folio` they are the first of one large folio of so many pages.
    """
    vm = world.vm()
    kvm = world.m.vm[vm]
    kvm.state = VmState.RUNNABLE
    kvm.direct.shadow_mmio_value = MMIO_VALUE
    slot = kvm.memslots.memslot[1]
    slot.npages, kvm.memslots.active.slot[0] = HVAS.value, 1
    for hva in range(pages):
        page = folio + hva if folio else world.page(Role.GUEST)
        world.m.frame[page].role, world.m.frame[page].refcount = Role.GUEST, 1
        kvm.direct.mm.page[hva], kvm.direct.mm.huge[hva] = page, bool(folio)
    return Td(world, vm)


def aliased(world: World) -> Td:
    """The same with its first page in a second slot, at GFN 2."""
    vm = plain_vm(world)
    slots = world.m.vm[vm.vm].memslots
    alias = slots.memslot[2]
    alias.npages, alias.base_gfn, slots.active.slot[1] = 1, 2, 2
    return vm


@scenario(
    "an MMU notifier takes a page away that two vCPUs use",
    witnesses=(direct_mapped, leaf_zapped, page_unmapped, stale_fault, tlb_flushed, guest_wrote, accessed, lost_race),
    tables=3, pages=2, vcpus=2, others=1, sizes=PLAIN,
    few_states=True,
)  # fmt: skip
def notifier(world: World) -> None:
    """A fault installs the page that the host took away; a vCPU writes through a translation that was not flushed."""
    vm = plain_vm(world)
    first, second = vm.vcpus(2)
    first.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ))
    second.runs((access, 0, Acc.WRITE))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))


@scenario(
    "an MMU notifier takes a page away that two slots have, at two GFNs of which a vCPU uses both",
    witnesses=(direct_mapped, leaf_zapped, page_unmapped, stale_fault, tlb_flushed, accessed),
    tables=4, pages=2, vcpus=1, others=1, sizes={**PLAIN, MEMSLOTS: 2, SLOT_IDS: 2}, few_states=True,
)  # fmt: skip
def notifier_alias(world: World) -> None:
    """Only the first of the two GFNs is zapped; or the fault at the second maps the page after the first was zapped."""
    vm = aliased(world)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ), (access, 2, Acc.WRITE), (access, 2, Acc.READ))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))


@scenario(
    "an MMU notifier takes a range away that two slots have, at GFNs that do not follow one another",
    witnesses=(direct_mapped, leaf_zapped, page_unmapped, stale_fault, tlb_flushed, accessed),
    tables=4, pages=3, vcpus=1, others=1, sizes={**PLAIN, HVAS: 3, MEMSLOTS: 2, SLOT_IDS: 2, FIXED_PAGES: 4}, few_states=True,
)  # fmt: skip
def notifier_range(world: World) -> None:
    """A page in the middle of the range stays mapped, or its TLB entry is not flushed; a fault between both slots slips in."""
    vm = plain_vm(world, pages=3)
    slots = world.m.vm[vm.vm].memslots
    head, tail = slots.memslot[1], slots.memslot[2]
    head.npages = 2
    tail.npages, tail.base_gfn, tail.hva, slots.active.slot[1] = 1, 3, 2, 2
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 1, Acc.WRITE), (access, 3, Acc.WRITE), (access, 1, Acc.READ), (access, 3, Acc.READ))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 2))


@scenario(
    "a page that two slots have is aged at both GFNs, while an MMU notifier takes it away, and a vCPU uses both",
    witnesses=(direct_mapped, aged, aged_too_late, page_unmapped, leaf_zapped),
    tables=4, pages=2, vcpus=1, others=2, sizes={**PLAIN, MEMSLOTS: 2, SLOT_IDS: 2}, few_states=True,
)  # fmt: skip
def age_alias(world: World) -> None:
    """Aging looks at the first slot only; or it puts a leaf back that was zapped at the other GFN."""
    vm = aliased(world)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 2, Acc.WRITE), (access, 0, Acc.WRITE))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))


@scenario(
    "a page of the VMM becomes shared, and is copied for who writes first, the VMM or a vCPU, which reads it too",
    witnesses=(direct_mapped, leaf_zapped, page_copied, stale_fault, tlb_flushed, guest_wrote, accessed),
    tables=3, pages=3, vcpus=1, others=1, sizes={**PLAIN, COPIES_ON_WRITE: 1}, larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def copy_on_write(world: World) -> None:
    """A fault maps the page from before the copy; a vCPU reads what it was, or writes to the page of the other side."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ), (access, 0, Acc.WRITE))
    vm.runs("VMM", call(write_protect_hva, vm.vm, 0), call(host_write, vm.vm, 0))


@scenario(
    "two vCPUs use a direct root that a fast zap takes away",
    witnesses=(direct_mapped, root_allocated, root_found, root_obsolete, root_freed, tlb_flushed, accessed),
    tables=6, pages=2, vcpus=2, others=2, sizes=PLAIN,
    few_states=True,
)  # fmt: skip
def fast_zap_faults(world: World) -> None:
    """A root is freed while a vCPU walks it, or the last reference of a valid one is put."""
    vm = plain_vm(world)
    first, second = vm.vcpus(2)
    first.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ))
    second.runs((access, 0, Acc.WRITE))
    vm.runs("zap", call(fast_zap, vm.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a fast zap takes 1G tables away with all that they link, while vCPUs use the tree and one of its pages is aged",
    witnesses=(direct_mapped, root_obsolete, root_freed, tables_removed, aged),
    tables=8, pages=3, vcpus=1, others=3, sizes={**PLAIN, FIXED_PAGES: 3, PROVE_MMU: 1}, few_states=True,
)  # fmt: skip
def fast_zap_tables(world: World) -> None:
    """A table below is freed with its parent while somebody walks it, or is forgotten; its leaves count for ever."""
    vm = plain_vm(world, pages=2)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 0, Acc.WRITE), (access, 1, Acc.READ))
    vm.runs("zap", call(fast_zap, vm.vm))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "an MMU notifier takes a page away while a fast zap is on its way through the tree that maps it, and both may yield",
    witnesses=(direct_mapped, leaf_zapped, page_unmapped, root_freed, yielded), tables=6, pages=2, vcpus=1, others=3,
    sizes={**PLAIN, RESCHED: 1},
    few_states=True,
)  # fmt: skip
def fast_zap_notifier(world: World) -> None:
    """The notifier passes the invalid root by, which still maps the page; the zap that yielded goes on in a freed table."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ))
    vm.runs("zap", call(fast_zap, vm.vm))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a page is aged while a fast zap and a fault change what maps it",
    witnesses=(direct_mapped, aged, root_freed), tables=6, pages=2, vcpus=1, others=3, sizes=PLAIN,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def age_zap(world: World) -> None:
    """Aging has no mmu_lock: it reads a table after its free, or takes the A bit of an entry that is something else by then."""
    vm = plain_vm(world)
    first, *others = vm.vcpus(VCPUS.value)
    first.runs((access, 0, Acc.WRITE), (access, 0, Acc.WRITE))
    for vcpu in others:
        vcpu.runs((access, 0, Acc.WRITE))
    vm.runs("zap", call(fast_zap, vm.vm))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a page is aged while an MMU notifier takes it away, and comes back",
    witnesses=(direct_mapped, aged, aged_too_late, page_unmapped, leaf_zapped),
    tables=3, pages=2, vcpus=1, others=2, sizes=PLAIN,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def age_notifier(world: World) -> None:
    """The A bit is taken from an entry that was zapped, and makes it present again."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.WRITE))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))


@scenario(
    "a page is aged without A/D bits while an MMU notifier takes it away, and a vCPU gives it its permissions back",
    witnesses=(direct_mapped, aged, aged_too_late, restored, fixed_fast, page_unmapped, leaf_zapped),
    tables=3, pages=2, vcpus=1, others=2, sizes={**PLAIN, AD_DISABLED: 1}, few_states=True,
)  # fmt: skip
def age_track(world: World) -> None:
    """Aging takes permissions from an entry that is another by now; a fault gives them back to a leaf that was zapped."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ), (access, 0, Acc.WRITE))
    vm.runs("madvise", call(madvise_dontneed, vm.vm, 0, 0))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))


@scenario(
    "NX recovery unlinks the table that two vCPUs fault in",
    witnesses=(direct_mapped, nx_recovered, table_removed, met_frozen, tlb_flushed), tables=6, pages=2, vcpus=2, others=2,
    sizes=PLAIN,
    few_states=True,
)  # fmt: skip
def nx_recovery(world: World) -> None:
    """A fault links a table below one that is being unlinked, and it leaks; the flush comes after the free."""
    vm = plain_vm(world)
    first, second = vm.vcpus(2)
    first.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ))
    second.runs((access, 0, Acc.WRITE))
    vm.runs("NX recovery", call(kvm_recover_nx_huge_pages, vm.vm, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "NX recovery unlinks a table of a root that a fast zap takes away, while a vCPU uses the tree",
    witnesses=(direct_mapped, nx_recovered, nx_recovered_late, root_freed), tables=6, pages=2, vcpus=1, others=3,
    sizes=PLAIN,
    few_states=True,
)  # fmt: skip
def nx_recovery_zap(world: World) -> None:
    """The table is taken apart twice, or is still linked when its root is freed; the zap goes on in a table that was freed."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 0, Acc.WRITE), (access, 0, Acc.READ))
    vm.runs("NX recovery", call(kvm_recover_nx_huge_pages, vm.vm, 0))
    vm.runs("zap", call(fast_zap, vm.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "NX recovery unlinks the table that two vCPUs fault in, and one of its pages is aged",
    witnesses=(direct_mapped, nx_recovered, aged, aged_too_late), tables=6, pages=2, vcpus=2, others=2, sizes=PLAIN,
    few_states=True,
)  # fmt: skip
def nx_recovery_age(world: World) -> None:
    """Aging takes a bit from a FROZEN entry, which a fault then takes for an empty one: nobody unmaps what it maps there."""
    vm = plain_vm(world)
    for vcpu in vm.vcpus(2):
        vcpu.runs((access, 0, Acc.READ))
    vm.runs("NX recovery", call(kvm_recover_nx_huge_pages, vm.vm, 0))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))


@scenario(
    "a plain VM is destroyed to the last page after its vCPUs made their accesses",
    witnesses=(direct_mapped, root_freed, vm_destroyed),
    tables=6, pages=2, vcpus=2, others=2, sizes={**PLAIN, RESCHED: 1}, few_states=True,
)  # fmt: skip
def plain_teardown(world: World) -> None:
    """A root, a table or a page of the VMM is left, or a callback runs after the VM has gone."""
    vm = plain_vm(world)
    for gfn, vcpu in enumerate(vm.vcpus(2)):
        vcpu.runs((access, gfn, Acc.WRITE), (close_vcpu,))
    vm.runs("destroy", call(destroy_plain_vm, vm.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)
