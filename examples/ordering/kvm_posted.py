"""Posted interrupts: vmx_sync_pir_to_irr() against vmx_deliver_posted_interrupt()."""

from septum.lang import (
    Model,
    Property,
    Scenario,
    Struct,
    Witness,
    bits_t,
    call,
    clear_bit,
    process,
    reached,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
)  # fmt: skip

ON, VECTOR = 0, 0
synced = Witness("synced", "the vCPU takes the interrupt over")


class World(Struct):
    pir: bits_t
    control: bits_t
    notified: bool
    taken: bool


@process
def deliver(m: World):
    """vmx_deliver_posted_interrupt() [6.18]: whoever finds ON set leaves the notification to who set it."""
    known = test_and_set_bit(VECTOR, m.pir)
    if known:
        return
    yield
    on = test_and_set_bit(ON, m.control)
    if not on:
        m.notified = True


@process
def sync(m: World):
    """vmx_sync_pir_to_irr() [6.18]: ON is cleared before PIR is read; the locked instruction is the barrier."""
    on = test_bit(ON, m.control)
    yield
    if on:
        clear_bit(ON, m.control)
        yield
        posted = test_bit(VECTOR, m.pir)
        yield
        if posted:
            reached(synced)
            m.taken = test_and_clear_bit(VECTOR, m.pir)


def seen(m: World):
    assert m.taken or m.notified, "posted: an interrupt is posted, and nobody is notified of it"


def start(setup):
    setup.m.control.bits = 1
    setup.thread("deliver", call(deliver))
    setup.thread("sync", call(sync))


race = Scenario("race", "An interrupt is posted while those before it are taken over", start, (synced,))
model = Model("kvm_posted", World, (race,), (Property("posted", "a posted interrupt is seen", seen, at_rest=True),))
