"""Lock order by class, as lockdep has it: a class is the type of a lock, and `ORDER` its place, outermost first; kvm-mmu.md 0.2.

The order is declared, not learnt: an inversion is found in the first schedule that takes two locks the wrong way round, whether
or not another one takes them the right way. Softirq is checked by spin_lock(), sleeping by might_sleep().
"""

from septum.host.cpu import me
from septum.lang import u8


def lockdep_acquire(m, lock):
    """lock_acquire(): no lock of this class, unless such locks NEST, or of one behind it may be held."""
    cpu = m.cpu[me()]
    assert lock.ORDER == 0 or cpu.held >> (lock.ORDER + lock.NESTS) == 0, "context: locks are taken against their order"
    if lock.ORDER != 0:
        cpu.held |= 1 << lock.ORDER


def lockdep_release(m, lock):
    """lock_release()."""
    cpu = m.cpu[me()]
    if lock.ORDER != 0:
        cpu.held = u8(cpu.held & (255 - (1 << lock.ORDER)))
