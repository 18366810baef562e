"""The flag that keeps vCPUs out while the S-EPT is zapped: tdx_no_vcpus_enter_start() against tdx_vcpu_run()."""

from septum.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Model,
    Property,
    Scenario,
    Struct,
    Witness,
    call,
    process,
    reached,
    smp_mb,
    smp_store_release,
    when,
)  # fmt: skip

kept_out = Witness("kept_out", "a vCPU finds the flag, and stays out")


class World(Struct):
    wait_for_sept_zap: bool
    in_guest_mode: bool
    running: bool
    zapping: bool


@process
def vcpu_run(m: World):
    """vcpu_enter_guest() and tdx_vcpu_run() [6.16]."""
    smp_store_release(m.in_guest_mode, True)
    yield
    smp_mb()
    flag = READ_ONCE(m.wait_for_sept_zap)
    if flag:
        reached(kept_out)
    else:
        m.running = True
        yield
        m.running = False
    yield
    smp_store_release(m.in_guest_mode, False)


@process
def zap(m: World):
    """tdx_no_vcpus_enter_start() to tdx_no_vcpus_enter_stop() [6.16]: kvm_make_all_cpus_request() is the barrier, and waits."""
    WRITE_ONCE(m.wait_for_sept_zap, True)
    yield
    smp_mb()
    yield when(lambda: not m.in_guest_mode)
    m.zapping = True
    yield
    m.zapping = False
    WRITE_ONCE(m.wait_for_sept_zap, False)


def kept_apart(m: World):
    assert not (m.running and m.zapping), "entry: a vCPU runs in the TD while its S-EPT is zapped"


def start(setup):
    setup.thread("vCPU", call(vcpu_run))
    setup.thread("zap", call(zap))


race = Scenario("race", "A zap keeps a vCPU out that is about to enter", start, (kept_out,))
model = Model("kvm_no_entry", World, (race,), (Property("entry", "no vCPU runs during the zap", kept_apart),))
