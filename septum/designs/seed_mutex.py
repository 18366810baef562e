"""The seed (see seed_spin) on v6, with the mutex of RFC v5: it spans top-up and use of the VM's pools; designs.md 5.10."""

from septum.designs.seed_spin import CACHE_SPINLOCK
from septum.designs.seed_spin import design as seed_spin
from septum.host.locks import mutex_lock, mutex_unlock
from septum.kvm.design import Design

design = Design("seed_mutex", base=seed_spin, sizes={CACHE_SPINLOCK: 0})


@design.process
def begin_split(m, vm, vcpu):
    yield from mutex_lock(m, m.vm[vm].design.mutex)


@design.routine
def end_split(m, vm, vcpu):
    mutex_unlock(m, m.vm[vm].design.mutex)
