"""READING_SHADOW_PAGE_TABLES against an unlinked table: walk_shadow_page_lockless_begin() against kvm_flush_remote_tlbs()."""

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
    smp_store_mb,
    smp_store_release,
    when,
)  # fmt: skip

walked = Witness("walked", "the walk finds the table linked")


class World(Struct):
    reading: bool
    linked: bool
    freed: bool


@process
def walk(m: World):
    """walk_shadow_page_lockless_begin() to walk_shadow_page_lockless_end() [6.18]; interrupts are off meanwhile."""
    smp_store_mb(m.reading, True)
    yield
    linked = READ_ONCE(m.linked)
    yield
    if linked:
        reached(walked)
        freed = READ_ONCE(m.freed)
        assert not freed, "walk: a table is read that was freed"
        yield
    smp_store_release(m.reading, False)


@process
def zap(m: World):
    """kvm_mmu_commit_zap_page() [6.18]: the table is unlinked; the IPI of the flush waits for who reads; then it is freed."""
    WRITE_ONCE(m.linked, False)
    yield
    smp_mb()
    yield when(lambda: not m.reading)
    yield
    WRITE_ONCE(m.freed, True)


def start(setup):
    setup.m.linked = True
    setup.thread("walk", call(walk))
    setup.thread("zap", call(zap))


race = Scenario("race", "A table is unlinked and freed under a walk", start, (walked,))
model = Model("kvm_walk", World, (race,), (Property("walk", "no table is read that was freed"),))
