"""A simulation from its options to its result: a host, a machine of a design on it, a workload, and what was counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from septum.host.cpu import IN_RCU, IN_SOFTIRQ, SPINNING
from septum.host.frames import Content, Gfp, Role
from septum.host.geometry import DYNAMIC_PAMT
from septum.kvm.seam.pamt import HOST_COUNTS
from septum.kvm.versions import KERNEL, release
from septum.lang import UserError
from septum.lang.model import Model
from septum.lang.types import scope
from septum.simulate.books import BUCKETS, MOST_LEAVES, STATUSES, SUB, Books
from septum.simulate.costs import Costs
from septum.simulate.hosts import FRESH, PAGE, Host, host
from septum.simulate.machine import Machine, Shape
from septum.simulate.stage import Sample, Stage, leaked
from septum.simulate.workloads import Workload
from septum.tdx.status import Status
from septum.tdx.versions import HAS_DYNAMIC_PAMT, MODULE, version_number

SPARE_PAGES = 1 << 15  # of a host, for pools, control pages and pairs: 128 MiB
QUANTILES = {"median": 0.5, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True)
class Options:
    """What is simulated: pages of a TD, vCPUs of each, TDs at a time, the host by name or file, versions, a seed."""

    pages: int
    vcpus: int = 1
    tds: int = 1
    host: str = FRESH
    nodes: int = 1
    levels: int = 4
    module: str = ""
    kernel: str = ""
    seed: int = 1


@dataclass(frozen=True)
class Seamcall:
    """How often a leaf answered a status."""

    leaf: str
    status: str
    count: int


@dataclass(frozen=True)
class Allocations:
    """How many pages were allocated in a context, with which flags and for which first content."""

    context: str
    gfp: str
    content: str
    count: int


@dataclass(frozen=True)
class Lock:
    """The time for which a lock was held, and for which CPUs waited for it, in seconds, and how often one did."""

    name: str
    held: float
    waited: float
    waits: int


@dataclass(frozen=True)
class Simulated:
    """What one design cost. Pages by role at their peaks, and at the end; times in seconds of the model but for `took`.

    `pamt_static` and `pamt_dynamic` are the bytes that the host sets aside at its start. `leaks` has what is not free though
    every VM is gone. `finished`: the workload came to its end.
    """

    design: str
    workload: str
    finished: bool
    options: Options
    host_pages: int
    dynamic: bool
    pages: dict[str, int]
    peak: dict[str, int]
    pamt_static: int
    pamt_dynamic: int
    seamcalls: tuple[Seamcall, ...]
    allocations: tuple[Allocations, ...]
    locks: tuple[Lock, ...]
    faults: int
    touched: int
    steps: int
    seconds: float
    latency: dict[str, float]
    leaks: dict[str, int]
    samples: tuple[Sample, ...]
    checks: int
    took: float

    @property
    def pamt_pages(self) -> int:
        """The bytes of PAMT at the peak: what was set aside, and with Dynamic PAMT the pairs."""
        return self.pamt_dynamic + self.peak.get("PAIR", 0) * PAGE if self.dynamic else self.pamt_static

    def count(self, leaf: str) -> int:
        """How often a leaf was called, whatever it answered."""
        return sum(one.count for one in self.seamcalls if one.leaf == leaf)


def simulate(
    model: Model, workload: Workload, options: Options, costs: Costs, tell: Callable[[int], None] = lambda _: None
) -> Simulated:
    """Plays a workload with a design. Ctrl-C keeps what is done: the result is not `finished`.

    Broken where a clause of the model does not hold; UserError where the options do not fit.
    """
    model = versioned(model, options)
    began = time.monotonic()
    needed = options.tds * (options.pages + options.pages // 64) + SPARE_PAGES
    on = host(options.host, needed, options.nodes, options.seed)
    shape = Shape(on.pages, max(options.pages, 1024), options.tds, options.tds * options.vcpus, len(on.nodes), options.levels)
    machine = Machine(model, shape, costs)
    for number, (begin, end) in enumerate(on.nodes):
        machine.zone(number, begin, end)
    machine.give(on.free_at)
    with scope(machine.bindings):
        has_image = bool(HOST_COUNTS.value)  # without, septum's design maps pages only for a TD that runs
    stage = Stage(machine, options.pages, options.vcpus, options.seed, has_image, tell)
    finished = True
    try:
        workload.play(stage)
        stage.check()
    except KeyboardInterrupt:
        finished = False
    return result(machine, on, stage, workload, options, finished, time.monotonic() - began)


def versioned(model: Model, options: Options) -> Model:
    """The model with the kernel and the module that are asked for; UserError for a module that lacks what the design needs."""
    sizes: dict[object, Any] = {KERNEL: release(options.kernel or None), MODULE: version_number(options.module)}
    bindings = {**model.bindings, **{size: number for size, number in sizes.items() if number is not None}}
    with scope(bindings):
        if options.module and DYNAMIC_PAMT and not HAS_DYNAMIC_PAMT:
            raise UserError(f"{model.name} needs Dynamic PAMT, which the module {options.module} has not")
    return replace(model, bindings=bindings)


def result(
    machine: Machine, on: Host, stage: Stage, workload: Workload, options: Options, finished: bool, took: float
) -> Simulated:
    """What the books of a machine say."""
    books = machine.books
    with scope(machine.bindings):
        dynamic = bool(DYNAMIC_PAMT.value)
    roles = [role for role in Role if role is not Role.FREE]
    idle = not any(vm.state for vm in [machine.m.vm[number] for number in range(1, machine.shape.vms + 1)])
    return Simulated(
        machine.model.name, workload.name, finished, options, sum(end - begin for begin, end in on.nodes), dynamic,
        {role.name: int(books.pages[role]) for role in roles}, {role.name: int(books.peak[role]) for role in roles},
        on.pamt(False), on.pamt(True), tuple(_seamcalls(machine)), tuple(_allocations(books)), tuple(_locks(books)),
        int(books.faults), int(books.touched), int(books.steps), machine.now / 1e12, latency(books),
        leaked(machine) if idle and finished else {}, tuple(stage.samples), machine.checked, took,
    )  # fmt: skip


def _seamcalls(machine: Machine) -> list[Seamcall]:
    answered = machine.books.answered
    return [
        Seamcall(leaf, Status(status).name, int(answered[number][status]))
        for number, leaf in enumerate(machine.leaves[:MOST_LEAVES])
        for status in range(STATUSES)
        if answered[number][status]
    ]


def _allocations(books: Books) -> list[Allocations]:
    return [
        Allocations(_context(kind // 16), Gfp(kind % 4).name, Content(kind // 4 % 4).name, int(count))
        for kind, count in enumerate(books.allocated)
        if count
    ]


def _context(bits: int) -> str:
    names = {SPINNING: "spinning lock", IN_RCU: "RCU section", IN_SOFTIRQ: "softirq"}
    return ", ".join(name for bit, name in names.items() if bits & bit) or "may sleep"


def _locks(books: Books) -> list[Lock]:
    return [
        Lock("mmu_lock (read)", books.mmu_read / 1e12, books.mmu_waited / 1e12, int(books.mmu_waits)),
        Lock("mmu_lock (write)", books.mmu_written / 1e12, 0.0, 0),
        Lock("pamt_lock", books.pamt_held / 1e12, books.pamt_waited / 1e12, int(books.pamt_waits)),
    ]


def latency(books: Books) -> dict[str, float]:
    """Quantiles of the time of a fault in microseconds, each the upper end of its bucket, and the longest."""
    total, found = sum(books.latency), {}
    if not total:
        return {}
    for name, part in QUANTILES.items():
        left = part * total
        for bucket in range(BUCKETS):
            left -= books.latency[bucket]
            if left <= 0:
                found[name] = upper_end(bucket) / 1000
                break
    return {**found, "longest": int(books.longest) / 1000}


def upper_end(bucket: int) -> int:
    """The nanoseconds below which the times of a bucket lie."""
    if bucket < SUB:
        return bucket + 1
    log, at = bucket // SUB + 3, bucket % SUB
    return (1 << log) + (at + 1 << log - 4)
