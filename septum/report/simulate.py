"""What designs cost, beside each other: for a terminal, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from septum.report.numbers import memory
from septum.report.paragraphs import wrapped
from septum.report.style import rendered, table
from septum.simulate.costs import Costs
from septum.simulate.hosts import PAGE
from septum.simulate.simulate import Simulated

Cell = Callable[[Simulated], str]

MEMORY: dict[str, Cell] = {
    "mirror tables": lambda one: _pages(one, "SPT"),
    "S-EPT tables": lambda one: _pages(one, "EXTERNAL"),
    "PAMT pairs": lambda one: _pages(one, "PAIR"),
    "in pools": lambda one: _pages(one, "POOL"),
    "control": lambda one: _pages(one, "CONTROL"),
    "PAMT in all": lambda one: memory(one.pamt_pages),
}
TIME: dict[str, Cell] = {
    "faults": lambda one: f"{one.faults:,}",
    "SEAMCALLs": lambda one: f"{_calls_of(one):,}",
    "of these refused": lambda one: f"{sum(call.count for call in one.seamcalls if call.status != 'TDX_SUCCESS'):,}",
    "in all": lambda one: _seconds(one.seconds),
    "a fault, median": lambda one: _microseconds(one, "median"),
    "a fault, p99": lambda one: _microseconds(one, "p99"),
    "a fault, p99.9": lambda one: _microseconds(one, "p99.9"),
    "the longest fault": lambda one: _microseconds(one, "longest"),
    "mmu_lock, read": lambda one: _seconds(_lock(one, "mmu_lock (read)").held),
    "mmu_lock, written": lambda one: _seconds(_lock(one, "mmu_lock (write)").held),
    "mmu_lock, waited": lambda one: _seconds(_lock(one, "mmu_lock (read)").waited),
    "pamt_lock": lambda one: _seconds(_lock(one, "pamt_lock").held),
    "pamt_lock, waited": lambda one: _seconds(_lock(one, "pamt_lock").waited),
}
LEGEND = (
    "Pools: idle pages of all vCPUs and VMs. PAMT in all: what Linux sets aside for its TDMRs, with Dynamic PAMT for 4K only a "
    "bitmap, and the pairs. Time is the model's, by the table of costs (--costs). mmu_lock, pamt_lock: for how long all CPUs "
    "together held it, and waited for it."
)


def render(found: Sequence[Simulated], costs: Costs, *, width: int = 80, colour: bool = False) -> str:
    """Figures, SEAMCALLs by leaf and status, allocations, what makes the difference, and which costs nobody measured."""
    beside = Beside(found, width, colour)
    parts = [
        f"{found[0].workload}: {_setting(found[0])}\n",
        beside.table(("memory at its peak",), lambda one: {(name,): cell(one) for name, cell in MEMORY.items()}),
        beside.table(("time",), lambda one: {(name,): cell(one) for name, cell in TIME.items()}),
        beside.table(("SEAMCALL", "status"), _calls),
        beside.table(("pages allocated where it", "with", "content"), _allocations),
        *(wrapped(sentence, width) for sentence in sentences(found)),
        *_notes(found, costs, width),
    ]
    return "\n".join(parts)


@dataclass(frozen=True)
class Beside:
    """Tables with a column for each design; as many beside each other as there is room for."""

    found: Sequence[Simulated]
    width: int
    colour: bool

    def table(self, names: Sequence[str], cells: Callable[[Simulated], dict[tuple[str, ...], str]]) -> str:
        """Rows by key, in the order in which the designs have them."""
        keys = list(dict.fromkeys(key for one in self.found for key in cells(one)))
        heads = [max(len(name), *(len(key[n]) for key in keys)) + 1 for n, name in enumerate(names)]
        column = max(len(one.design) for one in self.found) + 1
        together = max((self.width - sum(heads)) // max(column, 13), 1)
        parts = []
        for at in range(0, len(self.found), together):
            rows = table()
            for name in names:
                rows.add_column(name, no_wrap=True)
            for one in self.found[at : at + together]:
                rows.add_column(one.design, justify="right", no_wrap=True)
            for key in keys:
                rows.add_row(*key, *(cells(one).get(key, "-") for one in self.found[at : at + together]))
            parts.append(rendered(rows, width=self.width, colour=self.colour))
        return "\n".join(parts)


def _setting(one: Simulated) -> str:
    asked = one.options
    tds = f"{asked.tds} TDs" if asked.tds > 1 else "a TD"
    vcpus = f"{asked.vcpus} vCPU{'s' if asked.vcpus > 1 else ''}"
    return f"{tds} of {memory(asked.pages * PAGE)}, {vcpus}, a {asked.host} host of {memory(one.host_pages * PAGE)}"


def _pages(one: Simulated, role: str) -> str:
    return memory(one.peak.get(role, 0) * PAGE)


def _microseconds(one: Simulated, name: str) -> str:
    return f"{one.latency[name]:,.1f} us" if name in one.latency else "-"


def _seconds(time: float) -> str:
    return f"{time:,.3f} s" if time >= 0.1 else f"{time * 1e3:,.3f} ms"


def _calls_of(one: Simulated) -> int:
    return sum(call.count for call in one.seamcalls)


def _lock(one: Simulated, name: str) -> Any:
    return next(lock for lock in one.locks if lock.name == name)


def _calls(one: Simulated) -> dict[tuple[str, ...], str]:
    return {(call.leaf, call.status.removeprefix("TDX_")): f"{call.count:,}" for call in one.seamcalls}


def _allocations(one: Simulated) -> dict[tuple[str, ...], str]:
    return {(each.context, f"GFP_{each.gfp}", each.content.lower()): f"{each.count:,}" for each in one.allocations}


def sentences(found: Sequence[Simulated]) -> list[str]:
    """What makes the difference between the designs, each from the numbers above."""
    told = [_pamt(one) for one in found if one.dynamic]
    told += [
        f"{one.design} leaks: {', '.join(f'{many} {role}' for role, many in one.leaks.items())}." for one in found if one.leaks
    ]
    fastest = min(found, key=lambda one: one.seconds)
    for one in found:
        if one is not fastest and fastest.seconds and one.seconds / fastest.seconds > 1.005:
            more = 100 * (one.seconds / fastest.seconds - 1)
            told.append(f"{one.design} takes {more:.1f} % more time than {fastest.design}{_dearest(one, fastest)}.")
    return told


def _pamt(one: Simulated) -> str:
    pairs, saved = one.peak.get("PAIR", 0) // 2, one.pamt_static - one.pamt_pages
    verb = "saves" if saved >= 0 else "costs"
    return (
        f"{one.design} {verb} {memory(abs(saved))} of PAMT: {memory(one.pamt_static)} static against "
        f"{memory(one.pamt_dynamic)} and {pairs:,} pairs."
    )


def _dearest(one: Simulated, than: Simulated) -> str:
    """The SEAMCALLs of which it makes most more."""
    more = {call.leaf: one.count(call.leaf) - than.count(call.leaf) for call in one.seamcalls}
    leaf = max(more, key=lambda name: more[name], default="")
    return f"; it makes {more[leaf]:,} more {leaf}" if leaf and more[leaf] > 0 else ""


def _notes(found: Sequence[Simulated], costs: Costs, width: int) -> list[str]:
    """What the words of the tables mean, which numbers nobody measured, and who did not come to an end."""
    leaves = sorted({call.leaf for one in found for call in one.seamcalls})
    guessed = [name for name, cost in [*costs.basics.items(), *((leaf, costs.of(leaf)) for leaf in leaves)] if not cost.measured]
    notes = [LEGEND]
    notes += [f"Measured by nobody, as such: the costs of {', '.join(guessed)}."] if guessed else []
    notes += [f"{one.design}: stopped, and counted as far as it came." for one in found if not one.finished]
    return ["", *(wrapped(note, width) for note in notes)]


def document(found: Sequence[Simulated]) -> dict[str, Any]:
    """`{"simulations": [...]}`: every field of each."""
    return {"simulations": [{**asdict(one), "pamt_pages": one.pamt_pages} for one in found]}


def as_csv(found: Sequence[Simulated]) -> str:
    """A row for each design."""
    text = io.StringIO()
    roles = list(found[0].peak)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["design", "workload", "finished", *(f"peak_{role.lower()}_pages" for role in roles), "pamt_static_bytes", "pamt_bytes",
         "faults", "touched", "seamcalls", "seconds", *(f"fault_{name}_us" for name in ("median", "p99", "p99.9", "longest"))]
    )  # fmt: skip
    for one in found:
        writer.writerow(
            [one.design, one.workload, one.finished, *one.peak.values(), one.pamt_static, one.pamt_pages, one.faults, one.touched,
             _calls_of(one), one.seconds,
             *(one.latency.get(name, "") for name in ("median", "p99", "p99.9", "longest"))]
        )  # fmt: skip
    return text.getvalue()
