"""SRCU around the memslots: srcu_read_lock() against kvm_swap_active_memslots() and synchronize_srcu()."""

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
    u8,
    when,
)  # fmt: skip

old_slots = Witness("old_slots", "a reader has the old memslots")


class World(Struct):
    reading: bool
    slots: u8
    freed: bool


@process
def reader(m: World):
    """srcu_read_lock() to srcu_read_unlock() [6.18], of one CPU: its count, a full barrier, what it reads."""
    WRITE_ONCE(m.reading, True)
    smp_mb()
    yield
    slots = READ_ONCE(m.slots)
    yield
    if slots == 0:
        reached(old_slots)
        freed = READ_ONCE(m.freed)
        assert not freed, "srcu: the old memslots are read after they were freed"
        yield
    smp_store_release(m.reading, False)


@process
def update(m: World):
    """kvm_swap_active_memslots() [6.18]: the new memslots, synchronize_srcu_expedited(), and the old ones are freed."""
    smp_store_release(m.slots, 1)
    yield
    smp_mb()
    yield when(lambda: not m.reading)
    yield
    WRITE_ONCE(m.freed, True)


def start(setup):
    setup.thread("reader", call(reader))
    setup.thread("update", call(update))


race = Scenario("race", "Memslots are exchanged under a reader", start, (old_slots,))
model = Model("kvm_srcu", World, (race,), (Property("srcu", "no memslots are read that were freed"),))
