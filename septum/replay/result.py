"""What a replay found, as data: for the terminal, for JSON, and for a test to assert on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of a replay."""

    FOLLOWED = "followed"
    DIVERGED = "diverged"
    NOTHING = "nothing to follow"


@dataclass(frozen=True)
class Line:
    """A line of the trace, numbered from 1."""

    number: int
    text: str


@dataclass(frozen=True)
class Place:
    """An entry on the way from the root to the event's: its level, its index in its table, and what the model holds there."""

    level: int
    index: int
    gfn: int
    word: str


@dataclass(frozen=True)
class Divergence:
    """An event that the model cannot explain.

    `step` is what the event would be, `guard` what stands in its way, `alternatives` the other steps that the model could have
    taken with the first guard of each that failed; `explained` counts the events before it.
    """

    at: Line
    step: str
    guard: str
    explained: int
    gfn: int
    level: int
    holds: str
    path: tuple[Place, ...]
    alternatives: tuple[tuple[str, str], ...]
    before: tuple[Line, ...]


@dataclass(frozen=True)
class Group:
    """Divergences of one kind: the first in full, the lines of the first hundred."""

    first: Divergence
    count: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """What was read and could not be used."""

    lines: int
    events: int
    unknown: dict[str, int]
    unreadable: int
    too_long: int
    folded: int
    stacks: int
    quotes: int
    other_text: int
    twice: int
    losses: int
    lost: int
    inferred: int
    wrapped: int
    backwards: int
    reordered: int
    worst_back: float
    shadow: int
    truncated: str


@dataclass(frozen=True)
class Checked:
    """How many changes were compared with what an entry held, and how many were of entries of which nothing was known."""

    compared: int
    learned: int

    @property
    def poorly(self) -> bool:
        """Whether more than a tenth of what a pass stands for was taken on trust."""
        return 10 * self.learned > self.compared + self.learned


@dataclass(frozen=True)
class Spurious:
    """Faults that needed no fixing: GFNs and how often, the most frequent first; the longest run of one thread on one GFN."""

    gfns: tuple[tuple[int, int], ...] = ()
    run: int = 0
    run_gfn: int = 0
    run_pid: int = 0


@dataclass(frozen=True)
class Sample:
    """Leaves by level (1, 2, 3) at a time of the trace's clock."""

    time: float
    leaves: tuple[int, int, int]


@dataclass(frozen=True)
class Result:
    """A replay. `holds` is true when every event of the page tables was explained."""

    trace: str
    verdict: Verdict
    reason: str
    kernel: str
    kernel_from: str
    format: str
    format_from: str
    reading: Reading
    checked: Checked
    clock: str
    steps: dict[str, int]
    seconds_in: dict[str, float]
    rules: dict[str, int]
    followed: int
    met: int
    begins: float
    ends: float
    vms: str
    roots: int
    leaves: tuple[int, int, int]
    tables: int
    seconds: float
    samples: tuple[Sample, ...] = ()
    groups: tuple[Group, ...] = ()
    spurious: Spurious = Spurious()
    notes: tuple[str, ...] = ()
    phases: tuple[tuple[float, str], ...] = field(default=())

    @property
    def holds(self) -> bool:
        return self.verdict is Verdict.FOLLOWED

    def __bool__(self) -> bool:
        return self.holds
