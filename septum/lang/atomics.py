"""Words of the kernel that are given a struct: atomic_t, refcount_t, and flags in a word; each operation is one piece.

What writes and reads is one locked instruction, and so a full barrier on x86, whatever its name promises.
"""

from __future__ import annotations

from septum.lang.processes import atomic
from septum.lang.struct import Word
from septum.lang.types import u32, u64
from septum.lang.words import smp_mb


class atomic_t(Word):
    """atomic_t."""

    counter: u32


class refcount_t(Word):
    """refcount_t."""

    refs: u32


class bits_t(Word):
    """An unsigned long of flags."""

    bits: u64


def atomic_read(v):  # type: ignore[no-untyped-def]
    """atomic_read()."""
    return v.counter


def atomic_set(v, i):  # type: ignore[no-untyped-def]
    """atomic_set()."""
    v.counter = i


def atomic_read_acquire(v):  # type: ignore[no-untyped-def]
    """atomic_read_acquire()."""
    return v.counter


def atomic_set_release(v, i):  # type: ignore[no-untyped-def]
    """atomic_set_release()."""
    v.counter = i


def atomic_add(i, v):  # type: ignore[no-untyped-def]
    """atomic_add()."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter + i
    smp_mb()


def atomic_sub(i, v):  # type: ignore[no-untyped-def]
    """atomic_sub()."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter - i
    smp_mb()


def atomic_inc(v):  # type: ignore[no-untyped-def]
    """atomic_inc()."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter + 1
    smp_mb()


def atomic_dec(v):  # type: ignore[no-untyped-def]
    """atomic_dec()."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter - 1
    smp_mb()


def atomic_or(i, v):  # type: ignore[no-untyped-def]
    """atomic_or()."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter | i
    smp_mb()


def atomic_inc_return(v):  # type: ignore[no-untyped-def]
    """atomic_inc_return(): what it is afterwards."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter + 1
    smp_mb()
    return v.counter


def atomic_dec_return(v):  # type: ignore[no-untyped-def]
    """atomic_dec_return(): what it is afterwards."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter - 1
    smp_mb()
    return v.counter


def atomic_fetch_add(i, v):  # type: ignore[no-untyped-def]
    """atomic_fetch_add(): what it was before."""
    atomic("one locked instruction")
    smp_mb()
    was = v.counter
    v.counter = was + i
    smp_mb()
    return was


def atomic_dec_and_test(v):  # type: ignore[no-untyped-def]
    """atomic_dec_and_test(): whether it is zero afterwards."""
    atomic("one locked instruction")
    smp_mb()
    v.counter = v.counter - 1
    smp_mb()
    return v.counter == 0


def atomic_inc_not_zero(v):  # type: ignore[no-untyped-def]
    """atomic_inc_not_zero(): whether it was not zero, and is one more."""
    atomic("one locked instruction")
    smp_mb()
    if v.counter == 0:
        return False
    v.counter = v.counter + 1
    smp_mb()
    return True


def atomic_xchg(v, new):  # type: ignore[no-untyped-def]
    """atomic_xchg(): what it was before."""
    atomic("one locked instruction")
    smp_mb()
    was = v.counter
    v.counter = new
    smp_mb()
    return was


def atomic_cmpxchg(v, old, new):  # type: ignore[no-untyped-def]
    """atomic_cmpxchg(): what it was before."""
    atomic("one locked instruction")
    smp_mb()
    was = v.counter
    if was == old:
        v.counter = new
    smp_mb()
    return was


def refcount_read(r):  # type: ignore[no-untyped-def]
    """refcount_read()."""
    return r.refs


def refcount_set(r, n):  # type: ignore[no-untyped-def]
    """refcount_set()."""
    r.refs = n


def refcount_inc(r):  # type: ignore[no-untyped-def]
    """refcount_inc(): WARNs of a count that is zero, whose object may be gone."""
    atomic("one locked instruction")
    smp_mb()
    assert r.refs != 0, "asserts: refcount_t: addition on 0; use-after-free"
    r.refs = r.refs + 1
    smp_mb()


def refcount_inc_not_zero(r):  # type: ignore[no-untyped-def]
    """refcount_inc_not_zero(): whether it was not zero, and is one more."""
    atomic("one locked instruction")
    smp_mb()
    if r.refs == 0:
        return False
    r.refs = r.refs + 1
    smp_mb()
    return True


def refcount_dec(r):  # type: ignore[no-untyped-def]
    """refcount_dec(): WARNs where it comes to zero, as nobody would free."""
    atomic("one locked instruction")
    smp_mb()
    assert r.refs > 1, "asserts: refcount_t: decrement hit 0; leaking memory"
    r.refs = r.refs - 1
    smp_mb()


def refcount_dec_and_test(r):  # type: ignore[no-untyped-def]
    """refcount_dec_and_test(): whether it is zero afterwards."""
    atomic("one locked instruction")
    smp_mb()
    assert r.refs != 0, "asserts: refcount_t: underflow; use-after-free"
    r.refs = r.refs - 1
    smp_mb()
    return r.refs == 0


def test_bit(nr, flags):  # type: ignore[no-untyped-def]
    """test_bit()."""
    return flags.bits & (u64(1) << (nr & 63)) != 0


def set_bit(nr, flags):  # type: ignore[no-untyped-def]
    """set_bit()."""
    atomic("one locked instruction")
    smp_mb()
    flags.bits = flags.bits | (u64(1) << (nr & 63))
    smp_mb()


def clear_bit(nr, flags):  # type: ignore[no-untyped-def]
    """clear_bit()."""
    atomic("one locked instruction")
    smp_mb()
    flags.bits = (flags.bits | (u64(1) << (nr & 63))) ^ (u64(1) << (nr & 63))
    smp_mb()


def test_and_set_bit(nr, flags):  # type: ignore[no-untyped-def]
    """test_and_set_bit(): whether it was set before."""
    atomic("one locked instruction")
    smp_mb()
    was = flags.bits & (u64(1) << (nr & 63)) != 0
    flags.bits = flags.bits | (u64(1) << (nr & 63))
    smp_mb()
    return was


def test_and_clear_bit(nr, flags):  # type: ignore[no-untyped-def]
    """test_and_clear_bit(): whether it was set before."""
    atomic("one locked instruction")
    smp_mb()
    was = flags.bits & (u64(1) << (nr & 63)) != 0
    flags.bits = (flags.bits | (u64(1) << (nr & 63))) ^ (u64(1) << (nr & 63))
    smp_mb()
    return was
