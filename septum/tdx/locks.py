"""The module's locks: try-locks, shared or exclusive; contention is TDX_OPERAND_BUSY, nothing waits. tdx-module.md 3."""

from septum.lang import Struct, Witness, atomic, commutes, reached, u8
from septum.tdx.versions import TREE_PRIORITY

busy = Witness("busy", "a SEAMCALL answered TDX_OPERAND_BUSY")


class TryLock(Struct):
    """A shared/exclusive lock of the module. Host priority is modelled where somebody can tell: S-EPT entry and tree."""

    readers: u8
    exclusive: bool


class TreeLock(Struct):
    """The lock of a Secure EPT, with the host-priority bit that it has since 1.5.20."""

    readers: u8
    exclusive: bool
    priority: bool  # a host call lost the tree, and none has got it since


def try_tree(tree, exclusive: bool):
    """Takes the tree for the host; whether that was possible. A loser marks the lock, and who gets it clears the mark."""
    if not TREE_PRIORITY:
        return try_exclusive(tree) if exclusive else try_shared(tree)
    atomic("lock and mark are one word")
    if tree.exclusive or (exclusive and tree.readers != 0):
        reached(busy)
        tree.priority = True
        return False
    tree.priority = False
    if exclusive:
        tree.exclusive = True
    else:
        tree.readers += 1
    return True


def was_lost(tree):
    """Whether a host call lost the tree since one got it."""
    commutes("it is polled after checks that, once passed, stay so: nobody can tell that it was not polled later")
    return tree.priority


def release_tree(tree, exclusive: bool):
    """Gives the tree back; the mark stays."""
    if exclusive:
        release_exclusive(tree)
    else:
        release_shared(tree)


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
