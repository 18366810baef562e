"""Mutations of examples/ordering that leave out a barrier, or weaken it: each is caught, as docs/memory.md lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """`old` becomes `new` in a file of examples/ordering, and `property` breaks: under x86-tso alone, or under `sc` as well."""

    file: str
    says: str
    old: str
    new: str
    property: str
    sc: bool = False


ENTER = "    yield\n    smp_mb()\n    pending = test_bit(0, m.requests)\n"
SWAPPED = """    smp_store_release(m.slots, 1)
    yield
    smp_mb()
"""

MUTATIONS = (
    Mutation("kvm_kick", "no barrier between the mode and the requests", ENTER, ENTER.replace("smp_mb()", "pass"), "kick"),
    Mutation("kvm_kick", "the requests are looked at before the mode is set",
             "    smp_store_release(m.mode, Mode.IN_GUEST_MODE)\n" + ENTER,
             "    pending = test_bit(0, m.requests)\n    yield\n    smp_store_release(m.mode, Mode.IN_GUEST_MODE)\n",
             "kick", True),
    Mutation("kvm_kick", "a plain request, and a plain look at the mode",
             "    set_bit(0, m.requests)\n    yield\n    was = cmpxchg(m.mode, Mode.IN_GUEST_MODE, Mode.EXITING_GUEST_MODE)\n",
             "    m.requests.bits = 1\n    yield\n    was = m.mode\n", "kick"),
    Mutation("kvm_walk", "the walk says that it reads by a plain store",
             "smp_store_mb(m.reading, True)", "smp_store_release(m.reading, True)", "walk"),
    Mutation("kvm_walk", "no barrier between the unlinking and the look at who reads", "    smp_mb()\n", "    pass\n", "walk"),
    Mutation("kvm_walk", "only smp_wmb() there", "    smp_mb()\n", "    barrier()\n", "walk"),
    Mutation("kvm_no_entry", "no barrier between the mode and the flag",
             "    smp_mb()\n    flag", "    pass\n    flag", "entry"),
    Mutation("kvm_no_entry", "no barrier between the flag and the mode",
             "    smp_mb()\n    yield when", "    pass\n    yield when", "entry"),
    Mutation("kvm_srcu", "srcu_read_lock() without its barrier",
             "    smp_mb()\n    yield\n    slots", "    yield\n    slots", "srcu"),
    Mutation("kvm_srcu", "synchronize_srcu() without its barrier", SWAPPED, SWAPPED.replace("smp_mb()", "pass"), "srcu"),
    Mutation("kvm_srcu", "a reader that forgets to say so", "    WRITE_ONCE(m.reading, True)\n", "    pass\n", "srcu", True),
    Mutation("kvm_posted", "ON is cleared by a plain store", "clear_bit(ON, m.control)", "m.control.bits = 0", "posted"),
    Mutation("kvm_posted", "ON is cleared after PIR is read",
             "        clear_bit(ON, m.control)\n        yield\n        posted = test_bit(VECTOR, m.pir)\n",
             "        posted = test_bit(VECTOR, m.pir)\n        yield\n        clear_bit(ON, m.control)\n", "posted", True),
    Mutation("kvm_invalidate", "the count is read after the page, as smp_rmb() forbids",
             "    seq = READ_ONCE(m.seq)\n    smp_rmb()\n    yield\n    present = READ_ONCE(m.present)\n",
             "    present = READ_ONCE(m.present)\n    yield\n    seq = READ_ONCE(m.seq)\n", "stale", True),
    Mutation("kvm_invalidate", "no look at the count", "m.in_progress != 0 or m.seq != seq", "m.in_progress != 0", "stale", True),
    Mutation("peterson", "no barrier", "    if BARRIER:\n        smp_mb()\n", "", "exclusion"),
    Mutation("peterson", "only smp_wmb()", "        smp_mb()\n", "        barrier()\n", "exclusion"),
    Mutation("lost_wakeup", "the sleeper sets its state by a plain store", "        smp_mb()\n", "        pass\n", "deadlock"),
    Mutation("lost_wakeup", "the waker looks at the state without a barrier",
             "    smp_mb()\n    yield\n    state", "    yield\n    state",
             "deadlock"),
    Mutation("seqcount", "the count is even again before the data, as smp_wmb() forbids",
             "    WRITE_ONCE(m.y, 1)\n    yield\n    smp_wmb()\n    WRITE_ONCE(m.sequence, 2)\n",
             "    WRITE_ONCE(m.sequence, 2)\n    yield\n    WRITE_ONCE(m.y, 1)\n", "torn", True),
    Mutation("seqcount", "the count is read once", "before & 1 != 0 or before != after", "before & 1 != 0", "torn", True),
    Mutation("ticket_lock", "a ticket is read, and then written", "    if ATOMIC:", "    if not ATOMIC:", "exclusion", True),
)  # fmt: skip
