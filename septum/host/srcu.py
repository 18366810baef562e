"""SRCU: read sections that may sleep, and who waits for those that were open when it asked."""

from septum.host.cpu import just_me, might_sleep
from septum.host.geometry import Cpus
from septum.lang import Word, commutes, process, smp_mb, when


class Srcu(Word):
    """struct srcu_struct: the CPUs in a read section, and those of them that a grace period still waits for."""

    readers: Cpus
    waiting: Cpus


def srcu_read_lock(srcu):
    """srcu_read_lock(); sections of one thread do not nest here."""
    commutes("a section that opens later may make a grace period shorter, and what it reads is newer")
    assert srcu.readers & just_me() == 0, "context: srcu_read_lock() in a section of the same thread"
    srcu.readers |= just_me()
    smp_mb()


def srcu_read_unlock(srcu):
    """srcu_read_unlock()."""
    commutes("a section that closes later makes a grace period longer")
    assert in_srcu(srcu), "context: srcu_read_unlock() outside of a section"
    smp_mb()
    srcu.readers ^= just_me()
    if srcu.waiting & just_me() != 0:
        srcu.waiting ^= just_me()
    smp_mb()


def in_srcu(srcu):
    """srcu_read_lock_held()."""
    commutes("what says that this CPU is in a section is written by this CPU alone")
    return srcu.readers & just_me() != 0


@process
def synchronize_srcu(m, srcu):
    """synchronize_srcu_expedited(): waits until every section that was open at the call is closed."""
    might_sleep(m)
    assert not in_srcu(srcu), "context: synchronize_srcu() inside of a read section, for which it waits"
    begin_grace_period(srcu)
    yield when(lambda: srcu.waiting == 0)


def begin_grace_period(srcu):
    """From now on the sections that are open are waited for; updates are serialised by their own lock."""
    commutes("a grace period that begins later waits for more sections")
    assert srcu.waiting == 0, "context: two grace periods of one SRCU domain at a time"
    smp_mb()
    srcu.waiting = srcu.readers
    smp_mb()
