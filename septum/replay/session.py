"""A replay from the first line of a trace to its last: pieces of text in, divergences and counts out."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from septum.lang.errors import SeptumError
from septum.replay.divergence import describe
from septum.replay.kernels import Choice, choose, encryption_bit
from septum.replay.native import RING, TEXT, Record, Seen, library
from septum.replay.result import Divergence
from septum.replay.traced.events import Guard, Kind, Step
from septum.replay.words import GUARDS, STEPS

DIVERGED, DEFECT = 1, 2
GROUP_LINES = 100
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


@dataclass(frozen=True)
class Suspect:
    """An event that is explained if lines are missing before it."""

    kind: tuple[str, str]
    line: int
    divergence: Divergence


class Session:
    """One replay in progress. Call `feed` with pieces of the text, then `finish`."""

    def __init__(self, settings: Settings, on_divergence: OnDivergence) -> None:
        self.settings, self.on_divergence = settings, on_divergence
        self.library = library()
        self.m = self.library.world()
        self.state = self.library.state()
        self.choice: Choice | None = None
        self.suspects: list[Suspect] = []
        self._started = 0
        self._rest = b""
        self.library.c.replay_start(ctypes.byref(self.state), ctypes.c_void_p(ctypes.addressof(self.m)))

    @property
    def stopped(self) -> bool:
        """Whether a divergence ended the replay."""
        return bool(self.state.stop)

    @property
    def misses_lines(self) -> bool:
        """Whether the header tells of lost events: a buffer that wrapped, or was read while it was written."""
        return bool(self.state.scan.written > self.state.scan.in_buffer or self.state.scan.starts)

    @property
    def phases(self) -> list[tuple[float, str]]:
        """The phases of a trace: its markers that begin with `phase`, or else all of them."""
        state, unit = self.state, self.unit
        markers = [
            (state.marker[i].time * unit, shown(bytes(state.marker[i].text[: state.marker[i].length])))
            for i in range(state.marker_count)
        ]
        return [one for one in markers if one[1].startswith("phase")] or markers

    @property
    def unit(self) -> float:
        """What a time stamp counts, in seconds; 1 if the trace's clock counts something else."""
        formats = self.state.scan.formats
        return 1.0 if formats & Seen.TICKS and not formats & Seen.SECONDS else 1e-9

    def feed(self, piece: bytes) -> None:
        """Follows what can be followed of the next piece."""
        self._scan(self._rest + piece, last=False)

    def catch_up(self) -> None:
        """Follows all that was read, as nothing earlier can come any more."""
        self._scan(self._rest, last=False)
        if self.choice is None and self.state.tail:
            self._choose()
        while self.choice and not self.stopped:
            self.library.c.replay_drain(ctypes.byref(self.state))
            if not self._went_on():
                break

    def finish(self) -> None:
        """Follows the rest. If the header's numbers are those of the lines, none was missing: then suspects are divergences."""
        self._scan(self._rest, last=True)
        if self.choice is None:
            self._choose()
        self.catch_up()
        scan = self.state.scan
        whole = scan.in_buffer and scan.entries + scan.unreadable == scan.in_buffer
        if whole and not self.stopped:
            for one in self.suspects if self.settings.keep_going else self.suspects[:1]:
                self.on_divergence(one.kind, one.line, functools.partial(_same, one.divergence))

    def _scan(self, text: bytes, last: bool) -> None:
        address, done = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0, 0
        while not self.stopped:
            done += self.library.c.replay_feed(
                ctypes.byref(self.state), ctypes.c_void_p(address + done), ctypes.c_size_t(len(text) - done), int(last)
            )
            full = bool(self.state.hold) and self.state.tail - self.state.next > RING // 2
            if full:
                self._choose()
            elif not self._went_on():
                break
        self._rest = text[done:]

    def _went_on(self) -> bool:
        """Reports a divergence; whether there was one and the replay goes on behind it."""
        if self.state.stop == DEFECT:
            raise Defect(f"{self.library.sites[self.state.site]} while line {self._diverged().line} was followed")
        if self.state.stop != DIVERGED:
            return False
        kind = (STEPS[Step(int(self.m.step))], GUARDS[Guard(int(self.m.guard))])
        line = int(self._diverged().line)
        if self.misses_lines and self._explained_by_a_loss(kind, line):
            return True
        self.on_divergence(kind, line, lambda: describe(self))
        if not self.settings.keep_going:
            return False
        self.library.c.replay_resynchronise(ctypes.byref(self.state))
        return True

    def _explained_by_a_loss(self, kind: tuple[str, str], line: int) -> bool:
        """Whether the event can be followed if events were lost before it."""
        if self._started != self.state.started:
            self._started = self.state.started
            self.suspects.clear()
        suspect = Suspect(kind, line, describe(self)) if len(self.suspects) < GROUP_LINES else None
        if not self.library.c.replay_infer_loss(ctypes.byref(self.state)):
            return False
        if suspect:
            self.suspects.append(suspect)
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
        state.encrypted = encryption_bit(values, [one.pfn for one in records if one.kind == Kind.REQUESTED])
        values = [(value & ~int(state.encrypted), level) for value, level in values]
        self.choice = choose(values, self.settings.kernel, self.settings.formats, state.scan.formats)
        self.choice.fill(self.m.layout)
        state.nonpresent = self.choice.era.nonpresent
        if self.settings.kernel or not state.told:
            state.frozen = self.choice.era.frozen
        state.told = state.told or bool(self.settings.kernel)
        self.m.midlife = self.settings.midlife or self.misses_lines or _begins_inside(records)
        state.hold = 0

    # -- what a report looks up

    def record(self, number: int) -> Record:
        """An event that is still in the ring."""
        found: Record = self.state.ring[number % RING]
        return found

    def text(self, record: Record) -> str:
        """The line of an event that is still in the ring, or its first part; empty if it is not kept any more."""
        if self.state.text_end - record.offset > TEXT:
            return ""
        start = record.offset % TEXT
        return shown(bytes(self.state.text[start : start + record.length]))

    def history(self, number: int) -> Iterator[Record]:
        """The events before one, the latest first, as far as the ring goes back."""
        for i in range(number - 1, max(-1, self.state.tail - RING), -1):
            yield self.record(i)

    def guard_of(self, step: Step) -> Guard:
        """What stands in the way of reading the event at which the replay stopped as this step."""
        return Guard(self.library.c.replay_guard(ctypes.byref(self.state), int(step)))


def shown(text: bytes) -> str:
    """Text of a trace for a reader: what a terminal would obey is escaped."""
    said = text.decode(errors="replace").rstrip()
    if said.isprintable():
        return said
    return "".join(one if one.isprintable() else " " if one in "\n\t" else repr(one)[1:-1] for one in said)


def _same(divergence: Divergence) -> Divergence:
    return divergence


def _begins_inside(records: list[Record]) -> bool:
    """Whether a page table changes before any root is made."""
    for one in records:
        if one.kind == Kind.GET_PAGE and one.level >= ROOT_LEVEL:
            return False
        if one.kind in (Kind.CHANGED, Kind.SET, Kind.FAST, Kind.GET_PAGE):
            return True
    return False
