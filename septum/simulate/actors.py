"""What guests and VMMs do in a simulation, beside the ioctls of the model: a guest that touches pages, and a slot used again."""

from septum.host.buddy import Order, free_one_page
from septum.host.geometry import Gfn, Pfn, VcpuId, VmId
from septum.host.locks import mutex_lock, mutex_unlock
from septum.host.pools import OK
from septum.kvm.machine import Machine, TdState, VmState
from septum.kvm.mmu.mirror_root import kvm_mmu_reload
from septum.kvm.ops import ops
from septum.kvm.tdp.tdp_mmu import Fault
from septum.kvm.vmx.vcpu import accept, leave_guest, tdx_handle_ept_violation, tdx_vcpu_run
from septum.lang import MEASURING, Meter, observe, process, u32, u64
from septum.properties.agreement import agreement
from septum.properties.backing import backing, backing_at_rest
from septum.properties.custody import custody, custody_at_rest
from septum.properties.measures import measured
from septum.properties.protocol import protocol
from septum.tdx.guest import Accepted
from septum.tdx.td import VcpuState

MULTIPLIER, INCREMENT = 1664525, 1013904223
"""Of a linear congruential generator, which runs through all numbers below a power of two (Numerical Recipes)."""

faulted = Meter("faulted", "a fault began")
served = Meter("served", "a fault ended: its result")
touched = Meter("touched", "the guest has a page")


@process
def run_guest(m: Machine, vcpu: VcpuId, first: Gfn, span: u64, modulus: u64, at: u64, pages: u64):
    """KVM_RUN of a vCPU whose guest accepts `pages` pages of the `span` from `first`, from the `at`-th on.

    In order where `modulus` is 0; else at random, each once: it is a power of two, and no less than `span`. The vCPU stays in
    the guest until a page is missing. Where to go on.
    """
    yield from mutex_lock(m, m.vcpu[vcpu].life.mutex)
    error = yield from kvm_mmu_reload(m, vcpu)
    assert error == OK, "scope: a vCPU has no root"
    yield from tdx_vcpu_run(m, vcpu)
    done = u64(0)
    place = u64(at)
    while done < pages:
        if place < span:
            yield from need(m, vcpu, Gfn(first + place))
            done = u64(done + 1)
        place = u64((u32(place) * MULTIPLIER + INCREMENT) % modulus) if modulus != 0 else u64(place + 1)
    leave_guest(m, vcpu, Accepted.KICKED)
    mutex_unlock(m, m.vcpu[vcpu].life.mutex)
    return place


@process
def need(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """The guest, which runs, needs a page: it accepts it, and KVM serves its faults, until it has it; then it runs on."""
    has = False
    while not has:
        accepted = yield from accept(m, vcpu, gfn)
        if accepted == Accepted.DONE:
            has = True
        else:
            leave_guest(m, vcpu, accepted)
            if accepted == Accepted.VIOLATION:
                yield from serve(m, vcpu, gfn)
            elif accepted == Accepted.TOO_LARGE:
                yield from ops.check_accept_level(m, vcpu, gfn)
            yield from tdx_vcpu_run(m, vcpu)
    if MEASURING:
        observe(touched, gfn)


@process
def serve(m: Machine, vcpu: VcpuId, gfn: Gfn):
    """One EPT violation; a fault that KVM gives up ends the simulation."""
    if MEASURING:
        observe(faulted, gfn)
    result = yield from tdx_handle_ept_violation(m, vcpu, gfn)
    if MEASURING:
        observe(served, u64(result))
    assert result != Fault.MEMORY_FAULT and result != Fault.DEAD and result != Fault.NO_MEMORY, "scope: a fault was not served"


@process
def forget_vm(m: Machine, vm: VmId):
    """The memory of a struct kvm that was destroyed serves another VM."""
    yield
    assert m.vm[vm].state == VmState.DESTROYED and not m.vm[vm].bugged, "scope: a VM is left that is not destroyed"
    m.vm[vm].state = VmState.NONE
    m.vm[vm].mmu_invalidate_seq = 0
    m.vm[vm].life.state = TdState.UNINITIALIZED
    m.vm[vm].life.direct_bits = False
    m.vm[vm].life.pre_fault_allowed = False
    m.vm[vm].life.created_vcpus = 0
    m.vm[vm].life.online_vcpus = 0
    m.td[vm].build.vcpus = 0


@process
def forget_vcpu(m: Machine, vcpu: VcpuId):
    """The same of a struct kvm_vcpu."""
    yield
    m.vcpu[vcpu].vm = 0
    m.vcpu[vcpu].life.state = TdState.UNINITIALIZED
    m.tdvps[vcpu].build.state = VcpuState.UNINITIALIZED


@process
def check_all(m: Machine):
    """What must hold always, of the whole machine at this moment."""
    yield
    custody(m)
    agreement(m)
    backing(m)
    protocol(m)


@process
def check_at_rest(m: Machine):
    """What must hold as nothing is in flight: no page is lost, and every pair has its users."""
    yield
    custody_at_rest(m)
    backing_at_rest(m)


@process
def measure_now(m: Machine):
    """What waits in pools at this moment, and which pairs nobody uses."""
    yield
    measured(m)


@process
def give_memory(m: Machine, page: Pfn, order: Order):
    """A block of the host's memory becomes free."""
    yield
    free_one_page(m, page, order)
