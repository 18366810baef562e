"""The CPU that a vCPU of a TD is associated with, where a thread runs several (MOVES); kvm-mmu.md 5.11.

A vCPU that is loaded on another CPU is flushed on the old one before it enters from the new one.
"""

from septum.host.cpu import just_me
from septum.host.geometry import Cpus, VcpuId
from septum.kvm.bug import tdx_bug_on
from septum.kvm.machine import Machine
from septum.lang import Struct, Witness, atomic, commutes, each, process, reached, when
from septum.tdx.building import tdh_vp_flush
from septum.tdx.status import TDX_SUCCESS, TDX_VCPU_NOT_ASSOCIATED

moved = Witness("moved", "a vCPU was flushed on one CPU and loaded on another")
interrupted = Witness("interrupted", "an IPI to flush a vCPU made another one leave the guest")


class VcpuCpu(Struct):
    """vcpu->cpu of a TDX vCPU."""

    on: Cpus  # none: -1


@process
def tdx_vcpu_load(m: Machine, vcpu: VcpuId):
    """tdx_vcpu_load() [7.1], with vcpu->mutex held: flushed where it was, then on the list of this CPU."""
    yield
    if m.vcpu[vcpu].cpu.on == just_me():
        return
    if m.vcpu[vcpu].cpu.on != 0:
        yield from tdx_flush_vp_on_cpu(m, vcpu)
        reached(moved)
    m.vcpu[vcpu].cpu.on = just_me()
    m.vcpu[vcpu].life.associated = True


@process
def tdx_flush_vp_on_cpu(m: Machine, vcpu: VcpuId):
    """tdx_flush_vp_on_cpu() and tdx_flush_vp() [7.1]: an IPI to the CPU, which leaves the guest for it, and VP.FLUSH there."""
    interrupt(m, m.vcpu[vcpu].cpu.on)
    yield when(lambda: not is_interrupted(m, m.vcpu[vcpu].cpu.on))
    status = yield from tdh_vp_flush(m, m.vcpu[vcpu].vm, vcpu)
    if status != TDX_SUCCESS and status != TDX_VCPU_NOT_ASSOCIATED:
        tdx_bug_on(m, m.vcpu[vcpu].vm, status)
    m.vcpu[vcpu].cpu.on = 0
    m.vcpu[vcpu].life.associated = False


def interrupt(m: Machine, cpu):
    """smp_call_function_single(): whoever is in the guest on the CPU comes out."""
    atomic("the IPI may be late")
    for other in each(VcpuId):
        if m.vcpu[other].in_guest and m.vcpu[other].cpu.on == cpu:
            m.vcpu[other].kicked = True
            reached(interrupted)


def is_interrupted(m: Machine, cpu):
    """Whether the CPU has still to leave the guest."""
    commutes("who leaves the guest later finds the flush done")
    for other in each(VcpuId):
        if m.vcpu[other].kicked and m.vcpu[other].cpu.on == cpu:
            return True
    return False
