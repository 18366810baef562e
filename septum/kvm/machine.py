"""The world of the model: one struct with everything that is part of a state."""

from septum.host.buddy import MEMORY
from septum.host.cpu import Cpu
from septum.host.frames import PageFrame, PageTable
from septum.host.geometry import Gfn, Level, Pfn, RangeId, Sequence, ThreadId, VcpuId, VmId
from septum.host.locks import InvalidateLock, MmuLock, PamtLock, SlotsLock
from septum.host.pools import MemoryCache
from septum.host.ranges import Range
from septum.host.rcu import Rcu
from septum.lang import Enum, Size, Slot, Struct, boolean, u8
from septum.tdx.injection import Injection
from septum.tdx.pamt import Pamt2M
from septum.tdx.td import Td, Tdvps

MACHINE_DESIGN = Slot("machine.design")
VCPU_DESIGN = Slot("vcpu.design")
VM_DESIGN = Slot("vm.design")
SP_DESIGN = Slot("sp.design")
VM_MEMSLOTS = Slot("vm.memslots")  # where scenarios have memslots: septum/kvm/memslots.py
VM_DIRECT = Slot("vm.direct")  # where they have direct trees: septum/kvm/tdp/direct.py
VCPU_DIRECT = Slot("vcpu.direct")
SP_DIRECT = Slot("sp.direct")

EXITS = Size("EXITS", 0)  # KVM_RUN says why it ended
SPLITS_UNDER_READ_LOCK = Size("SPLITS_UNDER_READ_LOCK", 0)  # leaves are split with mmu_lock held for read
VM_LIFE = Slot("vm.life")
VM_FILE = Slot("vm.file")
VM_FILES = Slot("vm.files")  # where they have several guest_memfd files: septum/kvm/virt/gmem_files.py
VM_CONTENTS = Slot("vm.contents")
VM_POISON = Slot("vm.poison")
VM_LPAGE_INFO = Slot("vm.lpage_info")  # where 2M ranges may be mixed: septum/kvm/tdp/mixed.py
VCPU_LIFE = Slot("vcpu.life")
VCPU_CPU = Slot("vcpu.cpu")  # where vCPUs move: septum/kvm/vmx/association.py
VCPU_LOADED = Slot("vcpu.loaded")  # where CPUs work without a vCPU: septum/kvm/vmx/loaded.py
VCPU_RUN = Slot("vcpu.run")
VCPU_RANGE = Slot("vcpu.range")


class MmuPage(Struct):
    """struct kvm_mmu_page, found by its `spt`; kvm-mmu.md 1.3."""

    external_spt: Pfn
    level: Level
    gfn: Gfn
    direct: SP_DIRECT
    design: SP_DESIGN


class VmState(Enum):
    """How far a VM has come: it is there, or it was destroyed to the last page."""

    NONE = 0
    RUNNABLE = 1
    DESTROYED = 2


class TdState(Enum):
    """kvm_tdx->state, and vcpu_tdx->state as far as INITIALIZED; kvm-mmu.md 5.2."""

    UNINITIALIZED = 0
    INITIALIZED = 1
    RUNNABLE = 2


class Vm(Struct):
    """struct kvm and kvm_tdx; kvm-mmu.md 1.4, 5.2."""

    state: VmState
    bugged: bool  # KVM_BUG_ON(): vm_bugged and vm_dead
    mmu_lock: MmuLock
    slots_lock: SlotsLock
    invalidate_lock: InvalidateLock  # filemap_invalidate_lock of the guest_memfd inode
    mirror_root: Pfn
    mmu_invalidate_in_progress: u8
    mmu_invalidate_seq: Sequence
    invalidate_first: Gfn
    invalidate_last: Gfn
    users: u8  # vCPUs and threads of the VMM that still use the VM
    wait_for_sept_zap: bool
    gmem: Pfn[Gfn]  # the pages of the guest_memfd inode
    huge: boolean[Gfn]  # may be mapped at 2M: its folio is, and the guest did not inhibit it
    shared: boolean[Gfn]  # memory attribute: not private
    memslots: VM_MEMSLOTS
    direct: VM_DIRECT
    design: VM_DESIGN
    life: VM_LIFE
    contents: VM_CONTENTS
    file: VM_FILE
    files: VM_FILES
    poison: VM_POISON
    lpage_info: VM_LPAGE_INFO


class Vcpu(Struct):
    """struct kvm_vcpu and vcpu_tdx: the caches that every design has, and those of its own."""

    vm: VmId
    in_guest: bool  # mode IN_GUEST_MODE
    kicked: bool  # an IPI of KVM_REQ_OUTSIDE_GUEST_MODE is on its way
    mmu_shadow_page_cache: MemoryCache
    direct: VCPU_DIRECT
    design: VCPU_DESIGN
    life: VCPU_LIFE
    cpu: VCPU_CPU
    loaded: VCPU_LOADED
    run: VCPU_RUN
    range: VCPU_RANGE


class Machine(Struct):
    """Everything: pages, 2M ranges, CPUs, VMs, vCPUs."""

    frame: PageFrame[Pfn]
    table: PageTable[Pfn]
    sp: MmuPage[Pfn]
    range: Range[RangeId]
    pamt: Pamt2M[RangeId]
    memory: MEMORY
    pamt_lock: PamtLock
    rcu: Rcu
    cpu: Cpu[ThreadId]
    vm: Vm[VmId]
    td: Td[VmId]
    vcpu: Vcpu[VcpuId]
    tdvps: Tdvps[VcpuId]
    failures: u8  # allocations that may still be made to fail
    design: MACHINE_DESIGN
    injection: Injection  # SEAMCALLs that may
    signals: u8  # signals that may still come
    leaked_pair: RangeId  # the range whose pair PAMT.REMOVE did not give back; 0: none
    zero_step: bool  # the module's zero-step mitigation sets in at the first private fault
