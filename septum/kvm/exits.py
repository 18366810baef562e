"""What userspace reads when an ioctl returns: why KVM_RUN ended, in a scenario that has EXITS, and how far a range was served."""

from septum.host.geometry import Gfn, VcpuId
from septum.host.pools import Errno
from septum.host.signals import SIGNALS
from septum.kvm.machine import EXITS, Machine
from septum.lang import Enum, Struct, Witness, reached, u8

memory_fault = Witness("memory_fault", "KVM_RUN ended with KVM_EXIT_MEMORY_FAULT")


class Exit(Enum):
    """kvm_run.exit_reason."""

    NONE = 0
    MEMORY_FAULT = 1  # KVM_EXIT_MEMORY_FAULT, with an error
    HYPERCALL = 2  # KVM_EXIT_HYPERCALL: KVM_HC_MAP_GPA_RANGE


class KvmRun(Struct):
    """struct kvm_run, kvm-mmu.md 6.6; written by the thread of the vCPU alone."""

    reason: Exit
    error: Errno
    gfn: Gfn
    private: bool  # KVM_MEMORY_EXIT_FLAG_PRIVATE


class UserRange(Struct):
    """struct kvm_pre_fault_memory and struct kvm_tdx_init_mem_region, as the kernel writes them back; where there are SIGNALS."""

    left: u8


def write_back(m: Machine, vcpu: VcpuId, left):
    """copy_to_user() of the range that was not served yet."""
    if SIGNALS:
        m.vcpu[vcpu].range.left = left


def kvm_prepare_memory_fault_exit(m: Machine, vcpu: VcpuId, gfn: Gfn, private: bool, error: Errno):
    """kvm_prepare_memory_fault_exit() [7.1], kvm-mmu.md 6.6: the flag is that of the fault, not of the attribute."""
    reached(memory_fault)
    if EXITS:
        run = m.vcpu[vcpu].run
        run.reason = Exit.MEMORY_FAULT
        run.error = error
        run.gfn = gfn
        run.private = private
