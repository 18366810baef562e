"""Dirty logging of a plain VM, with huge pages that are split when it begins (eager) or in faults (lazy).

What can go wrong: a write of the guest that no log reports, since W or D was taken without a flush, or while a fault that had
seen no dirty log was about to give it; a split that translates otherwise than the leaf before; a leaf that another one splits.
"""

from septum.host.geometry import ENTRIES, FIXED_PAGES, VCPUS
from septum.kvm.memslots import HVAS
from septum.kvm.mmu.direct_fault import fixed_fast, restored
from septum.kvm.tdp.changed_spte import table_removed, tables_removed
from septum.kvm.tdp.direct import HUGE_1G, HUGE_PAGES
from septum.kvm.tdp.dirty_log import (
    EAGER_PAGE_SPLIT,
    INITIALLY_SET,
    copy_all,
    get_dirty_log,
    page_logged,
    recovered,
    write_protected,
)
from septum.kvm.tdp.manual_log import copies_nothing_yet, copy_round
from septum.kvm.tdp.spte import AD_DISABLED
from septum.kvm.tdp.tdp_mmu import direct_mapped, direct_split
from septum.kvm.tdp.tlb import PML, Acc, guest_wrote, tlb_flushed
from septum.kvm.virt.aging import aged, kvm_age_hva
from septum.kvm.virt.memory_region import kvm_set_memory_region
from septum.kvm.x86.direct_run import access, accessed
from septum.kvm.x86.vm import rcu_softirq
from septum.lang import call
from septum.scenarios.direct import PLAIN, plain_vm
from septum.scenarios.world import TWO_VCPUS, Td, World, scenario

LOG = 1
PAGES_1G = ENTRIES * ENTRIES  # 4K pages of a 1G range
SMALL = {**PLAIN, HVAS: 2, FIXED_PAGES: 3}
HUGE = {**PLAIN, HUGE_PAGES: 1, HVAS: 2, FIXED_PAGES: lambda: 2 * ENTRIES.value}
GIANT = {**HUGE, HUGE_1G: 1, HVAS: 4, FIXED_PAGES: lambda: 2 * PAGES_1G.value}
SEEN = (direct_mapped, write_protected, page_logged, guest_wrote, tlb_flushed)


def migrate(world: World, folio: int = 0, second: Acc = Acc.WRITE) -> Td:
    """Logging begins, everything is copied, the log is read once, and its pages are copied again; a vCPU uses one of them."""
    vm = plain_vm(world, pages=2, folio=folio)
    first, *others = vm.vcpus(VCPUS.value)
    first.runs((access, 0, Acc.WRITE), (access, 0, second), (access, 0, Acc.WRITE))
    for vcpu in others:
        vcpu.runs((access, 1, Acc.WRITE))
    vm.runs("migrate", call(kvm_set_memory_region, vm.vm, 0, 2, 0, 0, LOG), call(copy_all, vm.vm), call(get_dirty_log, vm.vm, 0))
    return vm


@scenario(
    "a vCPU writes while the VMM logs dirty 4K pages by write protection",
    witnesses=(*SEEN, fixed_fast), tables=4, pages=2, vcpus=1, others=1, sizes=SMALL,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_writes(world: World) -> None:
    """A write that no log reports: the flush is missing, or a fault that saw no log gives W after the protection."""
    migrate(world)


@scenario(
    "a vCPU reads and writes while the VMM logs dirty 4K pages, and one of them is aged without A/D bits",
    witnesses=(*SEEN, fixed_fast, aged, restored), tables=4, pages=2, vcpus=1, others=2, sizes={**SMALL, AD_DISABLED: 1},
    few_states=True,
)  # fmt: skip
def log_track(world: World) -> None:
    """What was aged comes back writable by a read, and no log hears of the write; W outlives in the TLB what aging took."""
    vm = migrate(world, second=Acc.READ)
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))


@scenario(
    "a vCPU writes while the VMM logs dirty 4K pages by the CPU's page-modification log",
    witnesses=SEEN, tables=4, pages=2, vcpus=1, others=1, sizes={**SMALL, PML: 1},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_pml(world: World) -> None:
    """A write that no log reports: D was taken without a flush, or the vCPU's buffer was not emptied before the log was read."""
    migrate(world)


@scenario(
    "a vCPU writes to a 2M page that is split when logging begins",
    witnesses=(*SEEN, direct_split), tables=5, pages=2, vcpus=1, others=1, sizes=HUGE,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_eager(world: World) -> None:
    """The split table translates otherwise than the leaf did, or is writable where the leaf was protected already."""
    migrate(world, ENTRIES.value)


@scenario(
    "a vCPU writes to a 2M page that its own fault splits, while logging goes on",
    witnesses=(*SEEN, direct_split), tables=5, pages=2, vcpus=1, others=1, sizes={**HUGE, EAGER_PAGE_SPLIT: 0},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_lazy(world: World) -> None:
    """The fault maps 2M again though the log is on, and one bit stands for all the pages that were written."""
    migrate(world, ENTRIES.value)


@scenario(
    "logging ends, a page is aged, and a vCPU faults on it, while its table becomes a 2M leaf again",
    witnesses=(direct_mapped, recovered, aged, table_removed), tables=6, pages=2, vcpus=1, others=2, sizes=HUGE,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def recover_age(world: World) -> None:
    """The A bit of a table that is being replaced is taken, and the 2M leaf that stands there by then is changed."""
    vm = plain_vm(world, pages=2, folio=ENTRIES.value)
    for vcpu in vm.vcpus(VCPUS.value):
        vcpu.runs((access, 0, Acc.READ), (access, 1, Acc.READ))
    vm.runs("logging ends", call(kvm_set_memory_region, vm.vm, 0, 2, 0, 0, 0))
    vm.runs("age", call(kvm_age_hva, vm.vm, 0))
    world.m.vm[vm.vm].memslots.memslot[1].log_dirty = True


@scenario(
    "logging ends, and a vCPU writes while 2M leaves are recovered",
    witnesses=(direct_mapped, direct_split, recovered, guest_wrote),
    tables=5, pages=2, vcpus=1, others=2, sizes=HUGE,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def recover(world: World) -> None:
    """A 2M leaf becomes writable while a new log wants its pages one by one; its table is freed while a vCPU walks it."""
    vm = plain_vm(world, pages=2, folio=ENTRIES.value)
    first, *others = vm.vcpus(VCPUS.value)
    first.runs((access, 1, Acc.WRITE), (access, 0, Acc.WRITE))
    for vcpu in others:
        vcpu.runs((access, 0, Acc.WRITE))
    vm.runs("logging", call(kvm_set_memory_region, vm.vm, 0, 2, 0, 0, LOG), call(kvm_set_memory_region, vm.vm, 0, 2, 0, 0, 0))
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


@scenario(
    "a vCPU writes to a 1G page that is split to 4K when logging begins, and whose pages are logged",
    witnesses=(*SEEN, direct_split), tables=8, pages=4, vcpus=1, others=1, sizes=GIANT, few_states=True, levels=4,
)  # fmt: skip
def log_1g(world: World) -> None:
    """A page in the middle of the 1G leaf is mapped to another one's place, or keeps W after two splits."""
    vm = plain_vm(world, PAGES_1G.value, PAGES_1G.value)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 1, Acc.WRITE), (access, 3, Acc.WRITE), (access, 1, Acc.WRITE))
    vm.runs("migrate", call(kvm_set_memory_region, vm.vm, 0, 4, 0, 0, LOG), call(copy_all, vm.vm), call(get_dirty_log, vm.vm, 0))


@scenario(
    "logging ends, a page is aged, and a vCPU faults, while tables of two levels become a 1G leaf again",
    witnesses=(direct_mapped, recovered, tables_removed, accessed, aged),
    tables=9, pages=4, vcpus=1, others=3, sizes=GIANT, few_states=True, levels=4,
)  # fmt: skip
def recover_1g(world: World) -> None:
    """The 1G leaf begins at a page in its middle; a table two levels below is freed while aging walks it, or never."""
    vm = plain_vm(world, PAGES_1G.value, PAGES_1G.value)
    for vcpu in vm.vcpus(1):
        vcpu.runs((access, 3, Acc.READ), (access, 1, Acc.READ))
    vm.runs("logging ends", call(kvm_set_memory_region, vm.vm, 0, 4, 0, 0, 0))
    vm.runs("age", call(kvm_age_hva, vm.vm, 1))
    world.m.vm[vm.vm].memslots.memslot[1].log_dirty = True
    world.setup.thread("RCU softirq", call(rcu_softirq), daemon=True)


def migrate_manually(world: World, folio: int = 0) -> None:
    """The VMM clears what it is about to copy, in two rounds; with all bits set at first it copies nothing before."""
    vm = plain_vm(world, pages=2, folio=folio)
    first, *others = vm.vcpus(VCPUS.value)
    first.runs((access, 0, Acc.WRITE), (access, 0, Acc.WRITE), (access, 0, Acc.WRITE))
    for vcpu in others:
        vcpu.runs((access, 1, Acc.WRITE))
    begin = call(kvm_set_memory_region, vm.vm, 0, 2, 0, 0, LOG)
    copy = call(copies_nothing_yet, vm.vm, 2) if folio else call(copy_all, vm.vm)
    vm.runs("migrate", begin, copy, call(copy_round, vm.vm, 0), call(copy_round, vm.vm, 0))


@scenario(
    "a vCPU writes while the VMM reads the dirty log and clears it before it copies",
    witnesses=(*SEEN, fixed_fast), tables=4, pages=2, vcpus=1, others=1, sizes=SMALL,
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_manual(world: World) -> None:
    """A write between the reading of the log and its clearing is in no round; the protection comes before its bit is cleared."""
    migrate_manually(world)


@scenario(
    "a vCPU writes to a 2M page of which all pages count as dirty, and which is split when they are cleared",
    witnesses=(*SEEN, direct_split), tables=5, pages=2, vcpus=1, others=1, sizes={**HUGE, INITIALLY_SET: 1},
    larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_initially_set(world: World) -> None:
    """A page counts as dirty but is writable, so that a write after its clearing is in no round; a split drops the protection."""
    migrate_manually(world, ENTRIES.value)


@scenario(
    "a vCPU writes to a 2M page of which all pages count as dirty, and which a fault splits after they were cleared",
    witnesses=(*SEEN, direct_split), tables=5, pages=2, vcpus=1, others=1,
    sizes={**HUGE, INITIALLY_SET: 1, EAGER_PAGE_SPLIT: 0}, larger=TWO_VCPUS, few_states=True,
)  # fmt: skip
def log_set_lazy(world: World) -> None:
    """The clearing protects a 2M leaf, and the fault that splits it lets more be written than the page that it logs."""
    migrate_manually(world, ENTRIES.value)
