"""vcpu->mode against vcpu->requests: vcpu_enter_guest() against kvm_make_request() and kvm_vcpu_kick()."""

from septum.lang import (
    Enum,
    Model,
    Property,
    Scenario,
    Struct,
    bits_t,
    call,
    cmpxchg,
    process,
    set_bit,
    smp_mb,
    smp_store_release,
    test_bit,
)  # fmt: skip


class Mode(Enum):
    OUTSIDE_GUEST_MODE = 0
    IN_GUEST_MODE = 1
    EXITING_GUEST_MODE = 2


class World(Struct):
    mode: Mode
    requests: bits_t
    in_guest: bool
    ipi: bool


@process
def vcpu_enter_guest(m: World):
    """vcpu_enter_guest() [6.18]: the mode is set before requests are looked at; srcu_read_unlock() is the barrier."""
    smp_store_release(m.mode, Mode.IN_GUEST_MODE)
    yield
    smp_mb()
    pending = test_bit(0, m.requests)
    yield
    if pending:
        smp_store_release(m.mode, Mode.OUTSIDE_GUEST_MODE)
        return
    m.in_guest = True


@process
def kick(m: World):
    """kvm_make_request() and kvm_vcpu_kick() [6.18]: the request is there before the mode is looked at."""
    set_bit(0, m.requests)
    yield
    was = cmpxchg(m.mode, Mode.IN_GUEST_MODE, Mode.EXITING_GUEST_MODE)
    if was == Mode.IN_GUEST_MODE:
        m.ipi = True


def served(m: World):
    assert m.ipi or not m.in_guest, "kick: a vCPU runs its guest with a request that it has not seen, and no IPI comes"


def start(setup):
    setup.thread("vCPU", call(vcpu_enter_guest))
    setup.thread("kick", call(kick))


race = Scenario("race", "A request is made as a vCPU enters its guest", start)
model = Model("kvm_kick", World, (race,), (Property("kick", "a request is seen, or an IPI is sent", served, at_rest=True),))
