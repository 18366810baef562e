"""mmu_invalidate_seq: kvm_mmu_invalidate_begin() and _end() against a fault. smp_rmb() and smp_wmb() do nothing on x86."""

from septum.lang import (
    READ_ONCE,
    STORE_BUFFER,
    WRITE_ONCE,
    Model,
    Property,
    Scenario,
    Struct,
    Witness,
    call,
    process,
    reached,
    smp_rmb,
    smp_store_release,
    smp_wmb,
    u8,
    when,
    xchg,
)  # fmt: skip

stale = Witness("stale", "a fault finds that it is stale")
mapped = Witness("mapped", "a fault maps its page")


class World(Struct):
    mmu_lock: bool
    seq: u8
    in_progress: u8
    present: bool
    spte: bool


@process
def lock(m: World):
    yield when(lambda: not m.mmu_lock)
    was = xchg(m.mmu_lock, True)
    assert not was


@process
def fault(m: World):
    """kvm_tdp_mmu_page_fault() [6.18]: the count, then the page; under mmu_lock whether both still count."""
    seq = READ_ONCE(m.seq)
    smp_rmb()
    yield
    present = READ_ONCE(m.present)
    yield from lock(m)
    if m.in_progress != 0 or m.seq != seq:
        reached(stale)
    elif present:
        reached(mapped)
        m.spte = True
    smp_store_release(m.mmu_lock, False)


@process
def invalidate(m: World):
    """kvm_mmu_notifier_invalidate_range_start() to _end() [6.18], and the page that goes between them."""
    yield from lock(m)
    m.in_progress += 1
    m.spte = False
    smp_store_release(m.mmu_lock, False)
    yield
    WRITE_ONCE(m.present, False)
    yield from lock(m)
    m.seq += 1
    smp_wmb()
    m.in_progress -= 1
    smp_store_release(m.mmu_lock, False)


def gone(m: World):
    assert m.present or not m.spte, "stale: a page is mapped that is gone"


def start(setup):
    setup.m.present = True
    setup.thread("fault", call(fault))
    setup.thread("invalidate", call(invalidate))


race = Scenario("race", "A page goes while it is faulted in", start, (stale, mapped), {STORE_BUFFER: 6})
model = Model("kvm_invalidate", World, (race,), (Property("stale", "no page is mapped that is gone", gone, at_rest=True),))
