"""struct kvm_run: why KVM_RUN came back to userspace; kvm-mmu.md 6.6. A scenario that has EXITS binds it."""

from septum.host.geometry import Gfn, VcpuId
from septum.host.pools import Errno
from septum.kvm.machine import EXITS, Machine
from septum.lang import Enum, Struct, Witness, reached

memory_fault = Witness("memory_fault", "KVM_RUN ended with KVM_EXIT_MEMORY_FAULT")


class Exit(Enum):
    """kvm_run.exit_reason."""

    NONE = 0
    MEMORY_FAULT = 1  # KVM_EXIT_MEMORY_FAULT, with an error
    HYPERCALL = 2  # KVM_EXIT_HYPERCALL: KVM_HC_MAP_GPA_RANGE


class KvmRun(Struct):
    """What userspace reads when the ioctl returns; written by the thread of the vCPU alone."""

    reason: Exit
    error: Errno
    gfn: Gfn
    private: bool  # KVM_MEMORY_EXIT_FLAG_PRIVATE


def kvm_prepare_memory_fault_exit(m: Machine, vcpu: VcpuId, gfn: Gfn, private: bool, error: Errno):
    """kvm_prepare_memory_fault_exit() [7.1], kvm-mmu.md 6.6: the flag is that of the fault, not of the attribute."""
    reached(memory_fault)
    if EXITS:
        run = m.vcpu[vcpu].run
        run.reason = Exit.MEMORY_FAULT
        run.error = error
        run.gfn = gfn
        run.private = private
