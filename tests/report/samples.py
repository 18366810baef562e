"""Results as a check could give them, made by hand."""

from __future__ import annotations

from septum.check.result import Call, Change, Counterexample, Result, Standing, Step, Verdict

TOKEN = "s1-3qAB0cWq9fYAgICRkoGCgYKBgg"
FAULT, LINK, LOCK = "septum/kvm/fault.py", "septum/kvm/tdp/tdp_mmu.py", "septum/host/locks.py"

fault = Call("fault", FAULT, 40, "def fault", "0, 1")
in_fault = Call("fault", FAULT, 44, "status = yield from tdp_mmu_link_sp(m, vcpu, parent, i, child)", "vcpu=0, gfn=1")
in_topup = Call("fault", FAULT, 42, "error = yield from topup(m, pool, 4)", "vcpu=0, gfn=1")
topup = Call("topup", "septum/host/pools.py", 31, "failed = yield choose(2)", "vcpu[0].pool, min=4")
link = Call("tdp_mmu_link_sp", LINK, 112, "old = m.page[parent].spt[i]", "parent=4, i=1, child=9")
publish = Call(
    "tdp_mmu_link_sp", LINK, 118, "m.page[parent].spt[i] = old if error else nonleaf_spte(child)", "parent=4, i=1, child=9"
)
read_lock = Call("read_lock", LOCK, 23, "yield when(lambda: lock.writer == 0)", "vm[0].mmu_lock")
write_lock = Call("write_lock", LOCK, 37, "yield when(lambda: lock.writer == 0 and lock.readers == 0)", "vm[0].mmu_lock")
zap = Call("zap", "septum/kvm/zap.py", 60, "yield from write_lock(m, vm)", "gfn=1")

READ, WRITE = ("vm[0].mmu_lock (read)",), ("vm[0].mmu_lock (write)",)


def step(
    thread: str, *stack: Call, changes: tuple[Change, ...] = (), locks: tuple[str, ...] = (), choice: int | None = None
) -> Step:
    return Step(thread, choice, stack, changes, locks, ("lost_race",) if stack[-1] is publish else ())


STEPS = (
    step("CPU 0", fault),
    step("CPU 0", in_topup, topup, choice=0, changes=(Change("vcpu[0].pool.nobjs", "0", "4"),)),
    step("CPU 1", zap, write_lock, changes=(Change("vm[0].mmu_lock.writer", "{}", "{threadid 1}"),), locks=WRITE),
    step("CPU 1", zap, changes=(Change("vm[0].mmu_lock.writer", "{threadid 1}", "{}"), Change("vm[0].zapped", "0", "1"))),
    step("CPU 0", in_fault, read_lock, changes=(Change("vm[0].mmu_lock.readers", "{}", "{threadid 0}"),), locks=READ),
    step("CPU 0", in_fault, link, locks=READ),
    step("CPU 1", zap),
    step("CPU 0", in_fault, publish, changes=(Change("page[4].spt[1]", "FROZEN_SPTE", "pfn 9, nonleaf"),), locks=READ),
)
THREADS = (
    Standing("CPU 0", (in_fault, publish), "can run", READ),
    Standing("CPU 1", (zap, write_lock), "blocked", (), "vm[0].mmu_lock, held by CPU 0"),
    Standing("CPU 2", (), "ended", ()),
)
FOUND = Counterexample(STEPS, THREADS, TOKEN)

VIOLATED = Result(
    "dpamt_v4", "fault_zap", Verdict.VIOLATED, "custody", "custody: page 9 is in use twice",
    states=4321, transitions=12345, depth=8, seconds=0.04, collision=1e-31,
    witnesses={"lost_race": True}, unexecuted=(12, 13, 14, 40), counterexample=FOUND,
)  # fmt: skip
HOLDS = Result(
    "dpamt_v4", "same_gfn", Verdict.HOLDS,
    states=1234567, transitions=7654321, depth=57, seconds=3.21, collision=2e-27,
    witnesses={"lost_race": True, "page_mapped": True}, unexecuted=(13, 14, 20, 40),
)  # fmt: skip
VACUOUS = Result(
    "upstream", "same_gfn", Verdict.VACUOUS, reason="never reached: busy",
    states=99, transitions=200, depth=9, seconds=0.01, witnesses={"lost_race": True, "busy": False},
)  # fmt: skip
INCOMPLETE = Result(
    "upstream", "neighbours", Verdict.INCOMPLETE, reason="the time ended",
    states=20_000_000, transitions=99_000_000, depth=33, seconds=125.0, collision=5e-25, engine="python",
)  # fmt: skip
NOT_STARTED = Result("upstream", "fault_zap", Verdict.INCOMPLETE, reason="not started")
NOT_APPLICABLE = Result("upstream", "split_fault", Verdict.NOT_APPLICABLE, reason="the design has no split")

ALL = [HOLDS, VIOLATED, VACUOUS, INCOMPLETE, NOT_STARTED, NOT_APPLICABLE]


def three_threads() -> Result:
    """A deadlock between three CPUs, in which two columns are not enough."""
    takes = [
        step(f"CPU {n}", Call("take", LOCK, 12, "lock.writer = current() + 1", f"lock {n}"), locks=(f"lock {n}",))
        for n in range(3)
    ]
    ends = [
        Standing(f"CPU {n}", takes[n].stack, "blocked", (f"lock {n}",), f"lock {(n + 1) % 3}, held by CPU {(n + 1) % 3}")
        for n in range(3)
    ]
    found = Counterexample(tuple(takes), tuple(ends), TOKEN * 2, shortest=False)
    clause = "deadlock: CPU 0 waits for lock 1; CPU 1 waits for lock 2; CPU 2 waits for lock 0"
    return Result(
        "my/design.py", "ring", Verdict.VIOLATED, "deadlock", clause, states=30, transitions=40, depth=3, counterexample=found
    )
