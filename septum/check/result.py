"""What a check found, as data: for the terminal, for JSON, and for a test to assert on."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field, replace
from enum import StrEnum

from septum.check.versions import patch_applied


class Verdict(StrEnum):
    """The outcome of one design in one scenario; `reached` is that of a schedule alone, which leads to an event."""

    HOLDS = "holds"
    VIOLATED = "violated"
    VACUOUS = "vacuous"
    INCOMPLETE = "incomplete"
    NOT_APPLICABLE = "not applicable"
    REFUSED = "refused"
    REACHED = "reached"


@dataclass(frozen=True)
class Change:
    """One field that a step changed: `vm[0].mmu_lock.readers`, as shown, before and after."""

    place: str
    old: str
    new: str


@dataclass(frozen=True)
class Call:
    """One level of a thread's stack: the innermost is last. `replaces`: the core's function in whose place a design put it."""

    function: str
    file: str
    line: int
    source: str
    arguments: str = ""
    replaces: str = ""


@dataclass(frozen=True)
class Touch:
    """A place that a line read, with the value that it found, or wrote, with the value that it left there."""

    place: str
    value: str
    written: bool
    function: str
    file: str
    line: int
    source: str


@dataclass(frozen=True)
class Step:
    """One step of a schedule: who ran, from which line, through which calls, what it changed, which locks it then held.

    `passed` are the locks that it took and released again. `begins` are the reads of the first line that ran, where the step is
    the first of a call. `needed` says that the failed clause depends on the step, `touches` by which places; a step may be needed
    for its choice alone, or as the last. `takes`: it is one of the memory, which takes the thread's oldest store from its buffer.
    """

    thread: str
    choice: int | None
    stack: tuple[Call, ...]
    changes: tuple[Change, ...]
    locks: tuple[str, ...]
    events: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    begins: tuple[Touch, ...] = ()
    needed: bool = False
    touches: tuple[Touch, ...] = ()
    takes: bool = False

    @property
    def call(self) -> Call:
        """The innermost function."""
        return self.stack[-1]


@dataclass(frozen=True)
class Standing:
    """Where a thread stands at the end: ended, at a line, or blocked, and by whom."""

    thread: str
    stack: tuple[Call, ...]
    state: str
    locks: tuple[str, ...]
    waits_for: str = ""


@dataclass(frozen=True)
class Access:
    """One access to a scalar of the state: its place, as shown, the expression that names it, and the locks held at it."""

    place: str
    written: bool
    function: str
    file: str
    line: int
    text: str
    locks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Race:
    """A step that is no whole: `partner` may come between its two accesses, and touches with effect what both touch.

    Where both stand is how it is before the step. `apart`: the partner does so by two steps of its own.
    """

    thread: Standing
    partner: Standing
    accesses: tuple[Access, Access]
    partner_accesses: tuple[Access, Access]
    apart: bool = False


@dataclass(frozen=True)
class Counterexample:
    """A schedule to a violation. `shortest` is False where no shorter one was looked for to the end, None in a replay.

    With `race`, they lead to where the two threads stand whose next steps race. With `loop`, the steps from that index on lead
    back to the state before them, and may go round for ever; the way to the loop is the shortest. `behind` are the clauses, each
    with its place, that failed on the way and are set aside.
    """

    steps: tuple[Step, ...]
    threads: tuple[Standing, ...]
    token: str
    shortest: bool | None = True
    loop: int | None = None
    race: Race | None = None
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Excepted:
    """A clause that is set aside, as it was named, and the places ("file:line") at which it failed.

    At those that are in `ended` schedules ended, as nothing goes on behind a failed `assert` of a process.
    """

    clause: str
    failed: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


denied: list[Result] = []
"""The last Result of which `holds` was asked and was not so: what a test that fails then is about."""


@dataclass(frozen=True)
class Result:
    """One design in one scenario. A test asserts on `holds`, or on the fields.

    `property` and `clause` say what broke ("custody", "page 7 is freed twice"); `witnesses` maps each declared event to whether
    it was reached, `events` are all that were; `scope` are the sizes of the world by name; `unexecuted` are lines of
    `file`, the design's, that no schedule ran; `collision` is the chance that a fingerprint collision hid a state; `kept`: an
    earlier check of the same has explored it. Under x86-tso `store_buffer` is how many stores of a thread may wait, else 0;
    `bound_met`: one more would have, and what it leads to was not explored. `place` is where it broke ("file:line"), `excepted`
    what was set aside. Of a check that kept going, `others` are violations at other places, and `further` says how many more
    there are, None where not all were looked for: then `reason` says why. `patch` is how a patch of the model was named.
    `own_locks` are words taken for locks of the model's own, as "lock.next (ticket.py:20)": a step takes one as a whole.
    """

    design: str
    scenario: str
    verdict: Verdict
    property: str = ""
    clause: str = ""
    reason: str = ""
    states: int = 0
    transitions: int = 0
    depth: int = 0
    seconds: float = 0.0
    collision: float = 0.0
    engine: str = "c"
    scope: dict[str, int] = field(default_factory=dict)
    witnesses: dict[str, bool] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    unexecuted: tuple[int, ...] = ()
    file: str = ""
    kept: bool = False
    counterexample: Counterexample | None = None
    store_buffer: int = 0
    bound_met: bool = False
    place: str = ""
    excepted: tuple[Excepted, ...] = ()
    others: tuple[Result, ...] = ()
    further: int | None = 0
    own_locks: tuple[str, ...] = ()
    patch: str = field(default_factory=lambda: patch_applied()[0])

    def each(self) -> tuple[Result, ...]:
        """A Result for every violation that was found."""
        return (replace(self, others=()), *(replace(one, design=self.design) for one in self.others))

    @builtins.property  # the field `property` hides the decorator here
    def holds(self) -> bool:
        if self.verdict is not Verdict.HOLDS:
            denied[:] = [self]
        return self.verdict is Verdict.HOLDS

    def __bool__(self) -> bool:
        return self.holds
