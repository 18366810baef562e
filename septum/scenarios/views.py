"""Both views of a TD's memory: private GFNs through the mirror, shared ones through a direct root, in one VM.

What can go wrong: an MMU notifier or a fast zap takes private memory along; a private fault goes on with a root that is obsolete;
a conversion leaves a leaf of the old view; a vCPU that was kicked out for the S-EPT keeps a shared translation.
"""

from septum.host.frames import Role
from septum.host.geometry import ENTRIES, FIXED_PAGES, GFNS, VCPUS, VMS
from septum.kvm.bug import page_mapped
from septum.kvm.machine import VM_LPAGE_INFO
from septum.kvm.memslots import HVAS, MEMSLOTS, SLOT_IDS
from septum.kvm.mmu.mmu import root_obsolete
from septum.kvm.tdp.direct import HUGE_PAGES, ROOTS
from septum.kvm.tdp.mixed import MIXED, LpageInfo, mixed_range
from septum.kvm.tdp.roots import fast_zap, root_freed
from septum.kvm.tdp.tdp_mmu import direct_mapped, mmio_mapped
from septum.kvm.tdp.tlb import Acc
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes, made_private, made_shared
from septum.kvm.virt.memory_region import kvm_set_memory_region, slot_deleted
from septum.kvm.virt.notifier import leaf_zapped, madvise_dontneed, page_unmapped
from septum.kvm.vmx.vcpu import touch
from septum.kvm.x86.direct_run import access, fetch_refused, mmio_over_slot
from septum.kvm.x86.vm import rcu_softirq
from septum.lang import call
from septum.scenarios.direct import PLAIN
from septum.scenarios.dirty_log import LOG
from septum.scenarios.world import THREE_VCPUS, TWO_VCPUS, Td, World, control_pages, scenario
from septum.tdx.guest import page_accepted

SHARED_GFN, MMIO_GFN = 1, 2
BOTH = {**PLAIN, ROOTS: 3, FIXED_PAGES: lambda: 2 + VMS.value * control_pages()}

MIXABLE = {**BOTH, HUGE_PAGES: 1, MIXED: 1, VM_LPAGE_INFO: LpageInfo, FIXED_PAGES: lambda: 1 + control_pages() + ENTRIES.value}


def both_views(world: World) -> Td:
    """A TD with one slot for its first GFNs, of which the last is shared, and mapped by the VMM."""
    td = with_slot(world)
    kvm = world.m.vm[td.vm]
    page = world.page(Role.GUEST)
    world.m.frame[page].refcount, kvm.direct.mm.page[SHARED_GFN] = 1, page
    kvm.shared[SHARED_GFN] = True
    return td


def with_slot(world: World) -> Td:
    """A TD with one slot for its first GFNs."""
    td = world.td()
    kvm = world.m.vm[td.vm]
    kvm.direct.gfn_direct_bits = GFNS.value
    mirror = world.m.sp[kvm.mirror_root].direct
    mirror.is_mirror, mirror.root_count, kvm.direct.roots[0] = True, 2, kvm.mirror_root
    slot = kvm.memslots.memslot[1]
    slot.npages, slot.gmem, kvm.memslots.active.slot[0] = HVAS.value, True, 1
    kvm.memslots.active.generation = 2
    return td


@scenario(
    "a vCPU of a TD uses private and shared memory while an MMU notifier takes the shared page away",
    witnesses=(page_mapped, page_accepted, direct_mapped, leaf_zapped, page_unmapped),
    tables=6, pages=2, vcpus=1, others=1, sizes=BOTH, few_states=True,
)  # fmt: skip
def views_notifier(world: World) -> None:
    """The notifier of the shared page zaps the private one, whose content is then lost."""
    td = both_views(world)
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (access, SHARED_GFN, Acc.WRITE), (access, SHARED_GFN, Acc.READ))
    td.runs("madvise", call(madvise_dontneed, td.vm, SHARED_GFN, SHARED_GFN))


@scenario(
    "the direct roots of a TD are zapped while a vCPU faults in private and in shared memory",
    witnesses=(page_mapped, page_accepted, direct_mapped, root_obsolete, root_freed),
    tables=7, pages=2, vcpus=1, others=2, sizes=BOTH, few_states=True,
)  # fmt: skip
def views_fast_zap(world: World) -> None:
    """The mirror root is invalidated along; a private fault goes on with a direct root that is obsolete."""
    td = both_views(world)
    for vcpu in td.vcpus(1):
        vcpu.runs((access, SHARED_GFN, Acc.WRITE), (touch, 0))
    td.runs("zap", call(fast_zap, td.vm))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "two vCPUs of a TD fault, one in private memory and one in shared memory",
    witnesses=(page_mapped, page_accepted, direct_mapped), tables=6, pages=2, vcpus=2,
    sizes=BOTH, larger=THREE_VCPUS, few_states=True,
)  # fmt: skip
def views_faults(world: World) -> None:
    """A fault of one view looks into the tree of the other, or allocates a second root of its kind."""
    for number, vcpu in enumerate(both_views(world).vcpus(VCPUS.value)):
        vcpu.runs((access, SHARED_GFN, Acc.WRITE) if number % 2 else (touch, 0))


@scenario(
    "a GFN becomes private while a vCPU uses it as shared memory",
    witnesses=(direct_mapped, leaf_zapped, made_private, page_mapped),
    tables=6, pages=2, vcpus=1, others=1, sizes=BOTH, larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def views_convert(world: World) -> None:
    """A leaf of the shared view outlives the conversion, so that both views map the GFN."""
    td = both_views(world)
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((access, SHARED_GFN, Acc.WRITE), (touch, SHARED_GFN))
    td.runs("convert", call(kvm_vm_ioctl_set_mem_attributes, td.vm, SHARED_GFN, SHARED_GFN, False))


@scenario(
    "a page of a shared 2M folio becomes private and shared again while a vCPU accepts it, and one writes to the page before it",
    witnesses=(direct_mapped, leaf_zapped, made_private, made_shared, mixed_range, page_accepted),
    tables=7, pages=2, vcpus=2, others=1, folios=1, sizes=MIXABLE, few_states=True,
)  # fmt: skip
def views_mixed(world: World) -> None:
    """A 2M leaf for the page that stayed shared maps the private one too, since the range is not known to be mixed (yet)."""
    td = with_slot(world)
    kvm, head = world.m.vm[td.vm], world.folio()
    for gfn in range(ENTRIES.value):
        world.m.frame[head + gfn].refcount = 1
        kvm.direct.mm.page[gfn], kvm.direct.mm.huge[gfn], kvm.shared[gfn] = head + gfn, True, True
    first, second = td.vcpus(2)
    first.runs((access, 0, Acc.WRITE), (access, 0, Acc.WRITE))
    second.runs((touch, 1))
    private, shared = (call(kvm_vm_ioctl_set_mem_attributes, td.vm, 1, 1, to) for to in (False, True))
    td.runs("convert", private, shared)


@scenario(
    "a memslot with both views is deleted while a vCPU uses both",
    witnesses=(page_mapped, direct_mapped, slot_deleted, leaf_zapped, mmio_mapped), tables=6, pages=2, vcpus=1, others=1,
    sizes=BOTH, few_states=True,
)  # fmt: skip
def views_slot_delete(world: World) -> None:
    """Only one of both views is zapped; a vCPU that was kicked out for the S-EPT keeps a shared translation."""
    td = both_views(world)
    for vcpu in td.vcpus(1):
        vcpu.runs((touch, 0), (access, SHARED_GFN, Acc.WRITE), (access, SHARED_GFN, Acc.READ))
    td.runs("delete", call(kvm_set_memory_region, td.vm, 0, 0, 0, 0, 0))


@scenario(
    "the VMM wants a slot of guest_memfd to log dirty pages, which is refused, while a vCPU uses both views",
    witnesses=(page_mapped, direct_mapped), tables=6, pages=2, vcpus=1, others=1,
    sizes=BOTH, larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def views_log(world: World) -> None:
    """Logging begins though private memory cannot be write-protected."""
    td = both_views(world)
    for vcpu in td.vcpus(VCPUS.value):
        vcpu.runs((touch, 0), (access, SHARED_GFN, Acc.WRITE))
    td.runs("log", call(kvm_set_memory_region, td.vm, 0, HVAS.value, 0, 0, LOG))


@scenario(
    "a guest executes shared memory, mapped or not, while another vCPU has it mapped",
    witnesses=(direct_mapped, fetch_refused), tables=6, pages=2, vcpus=2, sizes=BOTH, few_states=True,
)  # fmt: skip
def views_fetch(world: World) -> None:
    """A fetch from shared memory, which is refused, is taken for a spurious fault or finds the leaf of the other vCPU."""
    first, second = both_views(world).vcpus(2)
    first.runs((access, SHARED_GFN, Acc.INSTR))
    second.runs((access, SHARED_GFN, Acc.WRITE), (access, SHARED_GFN, Acc.INSTR))


@scenario(
    "a memslot is created where a vCPU of a TD has read MMIO, and where it has not",
    witnesses=(direct_mapped, mmio_mapped, mmio_over_slot), tables=6, pages=2, vcpus=1, others=1,
    sizes={**BOTH, MEMSLOTS: 2, SLOT_IDS: 2}, few_states=True,
)  # fmt: skip
def views_mmio(world: World) -> None:
    """What the TD has read as MMIO stays so under the memslot, or the memslot's page is lost beside it."""
    td = both_views(world)
    world.m.vm[td.vm].shared[MMIO_GFN] = True
    for vcpu in td.vcpus(1):
        vcpu.runs((access, MMIO_GFN, Acc.READ), (access, MMIO_GFN, Acc.READ))
    td.runs("create", call(kvm_set_memory_region, td.vm, 1, 1, MMIO_GFN, SHARED_GFN, 0))


VIEWS = (
    views_faults, views_fetch, views_log, views_notifier, views_fast_zap, views_convert, views_mixed, views_slot_delete,
    views_mmio,
)  # fmt: skip
