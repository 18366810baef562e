"""A replay from the first line of a trace to its last: pieces of text in, divergences and counts out."""

from __future__ import annotations

import ctypes
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from septum.lang.errors import SeptumError
from septum.replay.divergence import describe
from septum.replay.kernels import Choice, choose, encryption_bit
from septum.replay.native import RING, Record, State, library
from septum.replay.result import Divergence
from septum.replay.traced.events import Guard, Kind, Step
from septum.replay.words import GUARDS, STEPS

DIVERGED, DEFECT = 1, 2
GROUP_LINES = 100
SEEN_NPF, SEEN_EPT = 32, 64
ROOT_LEVEL = 4
SURVEYED = 4000


OnDivergence = Callable[[tuple[str, str], int, Callable[[], Divergence]], None]
"""Told of a divergence: its step and guard, its line, and what describes it in full."""


class Defect(SeptumError):
    """The follower itself failed: a defect of septum, whatever the trace holds."""


@dataclass(frozen=True)
class Settings:
    """What the user says of a trace, and wants."""

    kernel: str = ""
    formats: str = ""
    midlife: bool = False
    keep_going: bool = False


class Session:
    """One replay in progress. Call `feed` with pieces of the text, then `finish`."""

    def __init__(self, settings: Settings, on_divergence: OnDivergence) -> None:
        self.settings, self.on_divergence = settings, on_divergence
        self.library = library()
        self.m = self.library.world()
        self.state = State()
        self.choice: Choice | None = None
        self._markers: list[tuple[float, str]] = []
        self._rest = b""
        self._kept: deque[tuple[int, bytes]] = deque()
        self.library.c.replay_start(ctypes.byref(self.state), ctypes.c_void_p(ctypes.addressof(self.m)))

    @property
    def stopped(self) -> bool:
        """Whether a divergence ended the replay."""
        return bool(self.state.stop)

    @property
    def phases(self) -> list[tuple[float, str]]:
        """The phases of a trace: its markers that begin with `phase`, or else all of them."""
        return [one for one in self._markers if one[1].startswith("phase")] or self._markers

    def feed(self, piece: bytes) -> None:
        """Follows what can be followed of the next piece."""
        self._scan(self._rest + piece, last=False)

    def finish(self) -> None:
        """Follows the rest."""
        self._scan(self._rest, last=True)
        if self.choice is None:
            self._choose()
        while not self.stopped:
            self.library.c.replay_drain(ctypes.byref(self.state))
            if not self._went_on():
                return

    def _scan(self, text: bytes, last: bool) -> None:
        while not self.stopped:
            begin = self.state.offset
            done = self.library.c.replay_feed(ctypes.byref(self.state), text, ctypes.c_size_t(len(text)), int(last))
            if done:
                self._kept.append((begin, text[:done]))
                self._note_phases(text[:done])
                self._forget()
            text = text[done:]
            full = bool(self.state.hold) and self.state.tail - self.state.next > RING // 2
            if full:
                self._choose()
            elif not self._went_on():
                break
        self._rest = text

    def _went_on(self) -> bool:
        """Reports a divergence; whether there was one and the replay goes on behind it."""
        if self.state.stop == DEFECT:
            site = self.library.translation.sites[self.state.site]
            raise Defect(f"{site.file}:{site.line}: {site.kind} {site.message} while line {self._diverged().line} was followed")
        if self.state.stop != DIVERGED:
            return False
        kind = (STEPS[Step(int(self.m.step))], GUARDS[Guard(int(self.m.guard))])
        self.on_divergence(kind, int(self._diverged().line), lambda: describe(self))
        if not self.settings.keep_going:
            return False
        self.library.c.replay_resynchronise(ctypes.byref(self.state))
        return True

    def _diverged(self) -> Record:
        return self.record(self.state.diverged_at)

    def _choose(self) -> None:
        """Looks at what was read ahead: which kernel, which format, and whether VMs ran before the trace."""
        state = self.state
        records = [self.record(i) for i in range(state.next, min(state.tail, state.next + SURVEYED))]
        values = [(value, one.level) for one in records if one.kind == Kind.CHANGED for value in (one.old, one.value)]
        if state.told:
            values.append((int(state.frozen), 1))
        seen = state.scan.formats
        by_exit = "EPT" if seen & SEEN_EPT else "NPT" if seen & SEEN_NPF else ""
        state.encrypted = encryption_bit(values, [one.pfn for one in records if one.kind == Kind.REQUESTED])
        values = [(value & ~int(state.encrypted), level) for value, level in values]
        self.choice = choose(values, self.settings.kernel, self.settings.formats, seen, by_exit)
        self.choice.fill(self.m.layout)
        state.nonpresent = self.choice.era.nonpresent
        if self.settings.kernel or not state.told:
            state.frozen = self.choice.era.frozen
        state.told = state.told or bool(self.settings.kernel)
        self.m.midlife = self.settings.midlife or state.scan.written > state.scan.in_buffer or _begins_inside(records)
        state.hold = 0

    def _note_phases(self, text: bytes) -> None:
        """The markers that user space wrote into the trace."""
        at = text.find(MARKER)
        while at >= 0 and len(self._markers) < MOST_MARKERS:
            line = text[text.rfind(b"\n", 0, at) + 1 : text.find(b"\n", at)]
            time = TIME.search(line)
            if time:
                self._markers.append((float(time[1]), line[line.find(MARKER) + len(MARKER) :].decode(errors="replace")))
            at = text.find(MARKER, at + 1)

    # -- what a report looks up

    def record(self, number: int) -> Record:
        """An event that is still in the ring."""
        found: Record = self.state.ring[number % RING]
        return found

    def text(self, record: Record) -> str:
        """The line of an event that is still in the ring."""
        for begin, piece in self._kept:
            if begin <= record.offset < begin + len(piece):
                start = record.offset - begin
                return piece[start : start + record.length].decode(errors="replace").rstrip("\r")
        return ""

    def history(self, number: int) -> Iterator[Record]:
        """The events before one, the latest first, as far as the ring goes back."""
        for i in range(number - 1, max(-1, self.state.tail - RING), -1):
            yield self.record(i)

    def guard_of(self, step: Step) -> Guard:
        """What stands in the way of reading the event at which the replay stopped as this step."""
        return Guard(self.library.c.replay_guard(ctypes.byref(self.state), int(step)))

    def _forget(self) -> None:
        """Drops text whose events have left the ring; phases are taken from it before."""
        oldest = self.record(max(0, self.state.tail - RING)).offset if self.state.tail else self.state.offset
        while len(self._kept) > 1 and self._kept[1][0] <= oldest:
            self._kept.popleft()


MARKER = b"tracing_mark_write: "
TIME = re.compile(rb" (\d+\.\d+): ")
MOST_MARKERS = 10_000


def _begins_inside(records: list[Record]) -> bool:
    """Whether a page table changes before any root is made."""
    for one in records:
        if one.kind == Kind.GET_PAGE and one.level >= ROOT_LEVEL:
            return False
        if one.kind in (Kind.CHANGED, Kind.SET, Kind.FAST, Kind.GET_PAGE):
            return True
    return False
