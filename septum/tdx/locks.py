"""The module's locks: try-locks, shared or exclusive; contention is TDX_OPERAND_BUSY, nothing waits. tdx-module.md 3."""

from septum.lang import Struct, Witness, commutes, reached, u8

busy = Witness("busy", "a SEAMCALL answered TDX_OPERAND_BUSY")


class TryLock(Struct):
    """A shared/exclusive lock of the module. Host priority is modelled where guests compete: in the S-EPT entry."""

    readers: u8
    exclusive: bool


def try_shared(lock):
    """Takes the lock shared; whether that was possible."""
    commutes("a call tries all its locks before it acts, and who is BUSY in between is BUSY after that too")
    if lock.exclusive:
        reached(busy)
        return False
    lock.readers += 1
    return True


def try_exclusive(lock):
    """Takes the lock exclusively; whether that was possible."""
    commutes("a call tries all its locks before it acts, and who is BUSY in between is BUSY after that too")
    if lock.exclusive or lock.readers != 0:
        reached(busy)
        return False
    lock.exclusive = True
    return True


def release_shared(lock):
    """Gives a shared lock back."""
    commutes("a call has acted before it releases, and who is BUSY in between was BUSY before that too")
    lock.readers -= 1


def release_exclusive(lock):
    """Gives an exclusive lock back."""
    commutes("a call has acted before it releases, and who is BUSY in between was BUSY before that too")
    lock.exclusive = False
