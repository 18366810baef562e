"""`replay`: a trace from its file to a Result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path

from septum.lang.errors import UserError
from septum.replay.native import Seen
from septum.replay.reasons import notes, nothing
from septum.replay.result import Checked, Divergence, Group, Reading, Result, Sample, Spurious, Verdict
from septum.replay.session import GROUP_LINES, Session, Settings
from septum.replay.source import Truncated, chunks
from septum.replay.traced.events import Step
from septum.replay.words import STEPS

SPURIOUS_SHOWN = 16


@dataclass(frozen=True)
class Options:
    """What a user says of a trace, and wants: --kernel, --formats, --midlife and --keep-going."""

    kernel: str = ""
    formats: str | None = None
    midlife: bool = False
    keep_going: bool = False


def replay(
    trace: str, *, kernel: str = "", formats: str | None = None, midlife: bool = False, keep_going: bool = False
) -> Result:
    """Follows a trace: the name of a file, or `-` for standard input.

    `kernel` is a version as 6.12, `formats` a file (or a directory of files) with the kernel's event formats; without both the
    kernel is inferred. `midlife` says that VMs were running before the trace began. UserError if the trace cannot be read.
    """
    with chunks(trace) as pieces:
        return followed(trace, pieces, Options(kernel, formats, midlife, keep_going))


def followed(trace: str, pieces: Iterable[bytes], options: Options, tell: Callable[[Session, int], None] | None = None) -> Result:
    """Follows pieces of text as they come; an empty one says that nothing is there for the moment.

    `tell` gets the session and the number of divergences after each piece.
    """
    groups: dict[tuple[str, str], Group] = {}

    def note(kind: tuple[str, str], line: int, describe: Callable[[], Divergence]) -> None:
        known = groups.get(kind)
        if known is None:
            groups[kind] = Group(describe(), 1, (line,))
        else:
            lines = (*known.lines, line) if len(known.lines) < GROUP_LINES else known.lines
            groups[kind] = with_fields(known, count=known.count + 1, lines=lines)

    settings = Settings(options.kernel, _formats(options.formats), options.midlife, options.keep_going)
    session = Session(settings, note)
    begun, truncated = time.monotonic(), ""
    try:
        for piece in pieces:
            if piece:
                session.feed(piece)
            else:
                session.catch_up()
            if tell:
                tell(session, sum(group.count for group in groups.values()))
            if session.stopped:
                break
    except Truncated as error:
        truncated = str(error)
    except KeyboardInterrupt:
        truncated = "interrupted: what had been read by then was followed"
    session.finish()
    return _result(trace, session, groups, truncated, time.monotonic() - begun)


def _formats(name: str | None) -> str:
    """The text of the format files."""
    if name is None:
        return ""
    path = Path(name)
    try:
        files = sorted(path.rglob("format")) if path.is_dir() else [path]
        text = "\n".join(file.read_text() for file in files)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name}: cannot be read as format files: {error}") from None
    if "name: " not in text:
        raise UserError(
            f"{name}: has no event formats; give events/kvmmmu and events/kvm of tracefs, or their `format` files in one"
        )
    return text


def _result(trace: str, session: Session, groups: dict[tuple[str, str], Group], truncated: str, seconds: float) -> Result:
    state, m, choice = session.state, session.m, session.choice
    assert choice is not None
    reason = nothing(session, tuple(groups.values()), truncated)
    verdict = Verdict.NOTHING if reason else Verdict.DIVERGED if groups else Verdict.FOLLOWED
    steps = {STEPS[step]: int(state.steps[step]) for step in Step if state.steps[step]}
    learned = int(state.learned + state.unseen)
    return Result(
        trace=trace, verdict=verdict, reason=reason,
        kernel=choice.era.name, kernel_from=choice.era_from, format=choice.format.name, format_from=choice.format_from,
        reading=_reading(session, truncated), checked=Checked(int(state.changes) - learned, learned),
        clock="seconds" if session.unit < 1 else "ticks", steps=steps,
        seconds_in={STEPS[step]: state.step_time[step] * session.unit for step in Step if state.step_time[step]},
        rules=_rules(session), followed=int(state.followed), met=int(state.met),
        begins=state.first_time * session.unit, ends=state.last_time * session.unit,
        vms=_vms(session), roots=int(m.births), leaves=(int(m.mapped[1]), int(m.mapped[2]), int(m.mapped[3])),
        tables=int(m.tables), seconds=seconds, samples=tuple(_samples(session)), groups=() if reason else tuple(groups.values()),
        spurious=_spurious(session), notes=tuple(notes(session)), phases=tuple(session.phases),
    )  # fmt: skip


def _reading(session: Session, truncated: str) -> Reading:
    scan, state = session.state.scan, session.state
    unknown = {scan.name[i].value.decode(errors="replace"): int(scan.times[i]) for i in range(scan.unknown_names)}
    return Reading(
        lines=int(scan.lines), events=int(scan.events), unknown=unknown, unreadable=int(scan.unreadable),
        too_long=int(scan.longest), folded=int(scan.folded), stacks=int(scan.stacks), quotes=int(scan.quotes),
        other_text=int(scan.texts), twice=int(scan.twice), losses=int(scan.losses), lost=int(scan.lost),
        inferred=int(state.gaps), wrapped=max(0, int(scan.written) - int(scan.in_buffer)), backwards=int(scan.backwards),
        reordered=int(state.reordered), worst_back=state.worst_back * session.unit, shadow=int(scan.shadow),
        truncated=truncated,
    )  # fmt: skip


def _rules(session: Session) -> dict[str, int]:
    """How often each named rule explained what no event shows, or what came in another order; docs/replay.md has them."""
    state, m = session.state, session.m
    found = {
        "overtaken": int(state.overtaken),
        "read-ahead": int(state.read_ahead),
        "time-order": int(state.reordered),
        "hardware-bits": int(m.hardware),
        "fast-fix": int(state.steps[Step.FIX_FAST]),
        "unrecorded-fix": int(m.refixed),
        "removed-table": int(m.in_removed),
        "silent-unfreeze": int(m.unfrozen),
        "unlinked-page": int(state.steps[Step.NEW_TABLE]) - int(state.steps[Step.LINK]) - int(state.steps[Step.SPLIT]),
        "learned": int(state.learned + state.unseen),
        "inferred-loss": int(state.gaps),
        "nx-huge-page": int(m.lowered),
        "ambiguous-root": int(m.ambiguous),
    }
    return {name: count for name, count in found.items() if count > 0}


def _vms(session: Session) -> str:
    """How many VMs there are, and how that is known."""
    m = session.m
    if session.state.scan.formats & Seen.TGID:
        count = len({int(m.root[i].vm) for i in range(len(m.root)) if m.root[i].table and m.root[i].vm})
        return f"{count or 1} by thread group"
    if m.births <= 1:
        return "1"
    return "undecidable without a TGID column: no event names the VM (record with options/record-tgid)"


def _samples(session: Session) -> list[Sample]:
    count, unit = session.state.sample_count, session.unit
    return [
        Sample(one.time * unit, (int(one.mapped[1]), int(one.mapped[2]), int(one.mapped[3])))
        for one in session.state.sample[:count]
    ]


def _spurious(session: Session) -> Spurious:
    state = session.state
    places = sorted(((int(one.count), int(one.gfn)) for one in state.spurious if one.count), reverse=True)
    gfns = tuple((gfn, count) for count, gfn in places[:SPURIOUS_SHOWN])
    return Spurious(gfns, int(state.spurious_run), int(state.spurious_gfn), int(state.spurious_pid))
