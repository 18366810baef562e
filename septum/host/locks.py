"""Locks of the kernel. A lock says who holds it: `writer` and `readers` are sets of CPUs, the first of one at most.

The classes at the end are those of KVM in their order (kvm-mmu.md 0.2), which `lockdep` checks. An rwlock is fair where a
scenario says so (FAIR): a writer that waits keeps new readers out. On x86 a lock is taken by a locked instruction; spin_unlock()
and write_unlock() are plain stores.
"""

from septum.host.cpu import just_me, me, might_sleep
from septum.host.geometry import Cpus, ThreadId
from septum.host.lockdep import lockdep_acquire, lockdep_release
from septum.lang import MEASURING, Meter, Size, Word, address, choose, commutes, each, observe, only, process, smp_mb, u8, when

FAIR = Size("FAIR", 0)  # rwlocks are fair, and loops under them yield

held_steps = Meter("held_steps", "a lock was released: where it lies, and after how many steps of its holder")


class Lock(Word):
    """The root of every lock of the kernel."""

    ORDER = 0  # the place of the class in the lock order; 0: in none
    NESTS = 0  # 1: several of the class may be held, if an outer lock says in which order

    writer: Cpus
    readers: Cpus
    age: u8  # in a build that measures: the steps that its writer took with it


class SpinLock(Lock):
    """spinlock_t."""


class RwLock(Lock):
    """rwlock_t."""

    waiting: Cpus  # where it is fair: the CPUs that wait to write


class Mutex(Lock):
    """struct mutex, and a rw_semaphore that is only taken for write."""


def lock_exclusively(lock):
    """From now on the lock is held by this CPU alone."""
    commutes("whoever comes between a lock and what is done under it finds the lock taken, as after both")
    smp_mb()
    lock.writer = just_me()
    smp_mb()


def unlock_exclusively(lock):
    """From now on nobody holds the lock."""
    commutes("whoever comes between what is done under a lock and its release finds the lock taken, as before both")
    note_hold(lock)
    lock.writer = 0


def lock_shared(lock):
    """From now on this CPU is one of those that hold the lock."""
    commutes("readers do not exclude each other, and a writer finds the lock taken, as after what is done under it")
    smp_mb()
    lock.readers |= just_me()
    smp_mb()


def unlock_shared(lock):
    """From now on this CPU is none of those that hold the lock; a locked instruction, unlike the unlock of a writer."""
    commutes("readers do not exclude each other, and a writer finds the lock taken, as before what is done under it")
    smp_mb()
    lock.readers ^= just_me()
    smp_mb()


def wait_to_write(lock):
    """From now on a writer waits, and new readers do too."""
    commutes("a writer that comes later keeps fewer readers out")
    smp_mb()
    lock.waiting |= just_me()
    smp_mb()


def wait_no_more(lock):
    """The writer has the lock."""
    commutes("whoever waits for a writer that waited waits for it as long as it has the lock")
    smp_mb()
    lock.waiting ^= just_me()
    smp_mb()


def note_hold(lock):
    """How long a lock was held, in steps of its holder."""
    if MEASURING:
        observe(held_steps, address(lock) * 256 + lock.age)
        lock.age = 0


def acquire(m, lock):
    """The CPU takes the lock for itself, in the order of classes."""
    lockdep_acquire(m, lock)
    lock_exclusively(lock)


def release(m, lock):
    """The CPU lets go of a lock that it has for itself."""
    lockdep_release(m, lock)
    unlock_exclusively(lock)


def holds_exclusively(lock):
    """lockdep_assert_held_write(), as a question."""
    commutes("what says that this CPU holds a lock is written by this CPU alone")
    return lock.writer == just_me()


def holds_shared(lock):
    """lockdep_assert_held_read(), as a question."""
    commutes("what says that this CPU holds a lock is written by this CPU alone")
    return lock.readers & just_me() != 0


def interruptible(m, lock):
    """Whether a softirq may come while the lock is held, on the CPU of its holder: then it spins there for ever."""
    found = False
    for cpu in each(ThreadId):
        if lock.writer & only(cpu) != 0 and m.cpu[cpu].irqs_off == 0:
            found = True
    return found


@process
def spin_lock(m, lock):
    """spin_lock(): waits, and disables preemption. A softirq must not meet a holder whom it may have interrupted."""
    if m.cpu[me()].softirq:
        yield
        assert not interruptible(m, lock), (
            "context: a softirq spins for a lock that is held with softirqs on, perhaps on its own CPU"
        )
    yield when(lambda: lock.writer == 0)
    acquire(m, lock)
    m.cpu[me()].spinning += 1


def spin_unlock(m, lock):
    """spin_unlock()."""
    assert holds_exclusively(lock), "context: a spinlock is released that this CPU does not hold"
    release(m, lock)
    m.cpu[me()].spinning -= 1


@process
def spin_lock_irqsave(m, lock):
    """spin_lock_irqsave(): neither interrupts nor softirqs come on this CPU while the lock is held."""
    yield from spin_lock(m, lock)
    m.cpu[me()].irqs_off += 1


def spin_unlock_irqrestore(m, lock):
    """spin_unlock_irqrestore()."""
    spin_unlock(m, lock)
    m.cpu[me()].irqs_off -= 1


@process
def read_lock(m, lock):
    """read_lock(): shared with other readers; of a fair lock, behind a writer that waits."""
    yield when(lambda: lock.writer == 0 and lock.waiting == 0)
    assert not holds_shared(lock), "context: read_lock() of a lock that this CPU holds already"
    lockdep_acquire(m, lock)
    lock_shared(lock)
    m.cpu[me()].spinning += 1


def read_unlock(m, lock):
    """read_unlock()."""
    assert holds_shared(lock), "context: read_unlock() of a lock that this CPU does not hold"
    lockdep_release(m, lock)
    unlock_shared(lock)
    m.cpu[me()].spinning -= 1


@process
def write_lock(m, lock):
    """write_lock(): waits for readers and writer."""
    if FAIR:
        yield
        wait_to_write(lock)
    yield when(lambda: lock.writer == 0 and lock.readers == 0)
    if FAIR:
        wait_no_more(lock)
    acquire(m, lock)
    m.cpu[me()].spinning += 1


def write_unlock(m, lock):
    """write_unlock()."""
    assert holds_exclusively(lock), "context: write_unlock() of a lock that this CPU does not hold"
    release(m, lock)
    m.cpu[me()].spinning -= 1


@process
def mutex_lock(m, lock):
    """mutex_lock(): may sleep."""
    might_sleep(m)
    yield when(lambda: lock.writer == 0)
    acquire(m, lock)


def mutex_unlock(m, lock):
    """mutex_unlock()."""
    assert holds_exclusively(lock), "context: mutex_unlock() of a mutex that this thread does not hold"
    release(m, lock)
    smp_mb()


@process
def cond_resched_rwlock_write(m, lock):
    """cond_resched_rwlock_write(): a long holder lets go of the lock, if somebody waits for it or the scheduler wants the CPU.

    Whether the scheduler does is a choice, at any time. Whether the lock was dropped.
    """
    due = yield choose(2)
    if due == 0 and lock.waiting == 0:
        return False
    write_unlock(m, lock)
    yield from write_lock(m, lock)
    return True


class KvmLock(Mutex):
    """kvm->lock."""

    ORDER = 1


class VcpuMutex(Mutex):
    """vcpu->mutex; all those of a VM are taken together under kvm->lock."""

    ORDER = 2
    NESTS = 1


class SlotsLock(Mutex):
    """kvm->slots_lock."""

    ORDER = 3


class InvalidateLock(Mutex):
    """filemap_invalidate_lock of a guest_memfd inode."""

    ORDER = 4


class MmuLock(RwLock):
    """kvm->mmu_lock."""

    ORDER = 5


class PagesLock(SpinLock):
    """kvm->arch.tdp_mmu_pages_lock."""

    ORDER = 6


class PamtLock(SpinLock):
    """The lock of PAMT.ADD and PAMT.REMOVE."""

    ORDER = 7
