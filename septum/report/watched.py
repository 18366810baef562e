"""A file that is watched, as a screen, and as lines for a pipe. A scope is named where there are several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from septum.check.result import Result, Verdict
from septum.report.board import Board, Change, Done, Event, Found, Planned, Wrong
from septum.report.diagram import command
from septum.report.style import VERDICT_STYLE
from septum.report.terminal import drawing_of, readable, shortened, summary, verdict_text

NAME = 24
MOST_ROWS = 6
"""So many scenarios are named in a part of the screen; the others are counted."""

LEAST_DRAWN = 3


def screen(board: Board, width: int, height: int) -> Text:
    """As many lines as the terminal has: how far it is, what changed, what does not hold, and the first counterexample."""
    parts = [list(part) for part in (_head(board), _changed(board), _failing(board), _wrong(board))]
    rows = [row for part in parts if part for row in (Text(), *part)][1:]
    rows += _counterexample(board, width, height - len(rows) - 1)
    blanks = [Text()] * (height - len(rows) - 1)
    rows = [*rows[: height - 1], *blanks, _foot(board)]
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return Text("\n").join(rows)


def _head(board: Board) -> Iterator[Text]:
    """The file, and of each scope how many scenarios are checked, and what they came to."""
    yield Text(board.file, "bold")
    for scope in board.plan.scopes:
        found = board.in_scope(scope)
        name = f"{scope:<8}" if len(board.plan.scopes) > 1 else ""
        yield Text(f"  {name}{len(found)} of {len(board.plan.scenarios)}  {_counts(found)}")


def _counts(results: Sequence[Result]) -> str:
    """20 hold, 1 violated."""
    return summary(results).partition(": ")[2].strip()


def _foot(board: Board) -> Text:
    one = board.exploring
    running = ": ".join([" ".join(_where(board, one.scope, one.scenario)), ", ".join(one.far) or "begins"]) if one else "begins"
    return Text(f"{'waits for the next save' if board.rests else running}  (Ctrl-C ends it)", "dim")


def _where(board: Board, scope: str, scenario: str) -> list[str]:
    return [scope, scenario] if len(board.plan.scopes) > 1 else [scenario]


def _changed(board: Board) -> Iterator[Text]:
    changes = board.changes()
    if changes:
        yield Text("Changed since the last save", "bold")
        yield from _some([_change(board, one) for one in changes])
    elif board.before and not board.wrong:
        yield Text("Nothing changed since the last save" if board.done else "Nothing changed so far")


def _some(rows: Sequence[Text]) -> Iterator[Text]:
    yield from rows[:MOST_ROWS]
    if rows[MOST_ROWS:]:
        yield Text(f"  and {len(rows) - MOST_ROWS} more")


def _change(board: Board, change: Change) -> Text:
    """two_tds    tiny   holds -> violated: custody"""
    text = _named(board, change.scope, change.new)
    text.append(f"{verdict_text(change.old) if change.old is not None else 'new'} -> ")
    return text.append(verdict_text(change.new), VERDICT_STYLE[change.new.verdict])


def _named(board: Board, scope: str, result: Result) -> Text:
    name = f"{scope:<8}" if len(board.plan.scopes) > 1 else ""
    return Text(f"  {shortened(result.scenario, NAME):<{NAME}}  {name}")


def _failing(board: Board) -> Iterator[Text]:
    failing = board.failing()
    if failing:
        yield Text("Does not hold", "bold")
        rows = [(_named(board, one.scope, one.result), one.result) for one in failing]
        yield from _some([row.append(verdict_text(result), VERDICT_STYLE[result.verdict]) for row, result in rows])


def _wrong(board: Board) -> Iterator[Text]:
    return (Text(line, VERDICT_STYLE[Verdict.REFUSED]) for line in board.wrong.splitlines())


def _counterexample(board: Board, width: int, room: int) -> Iterator[Text]:
    """What broke first, how to see all of it, and as many lines of its drawing as there is room for."""
    first = next((one for one in board.failing() if one.result.counterexample), None)
    if first is None or room < 4 + LEAST_DRAWN:
        return
    result = first.result
    assert result.counterexample
    drawing = drawing_of(result, readable(result, width, room), width).splitlines()
    yield Text()
    yield Text(f"{result.scenario}: {result.clause}", VERDICT_STYLE[Verdict.VIOLATED])
    yield Text(f"  {command(result, result.counterexample)}")
    yield from map(Text, drawing[: room - 4])
    if drawing[room - 4 :]:
        yield Text(f"  ... {len(drawing) - room + 4} more lines", "dim")


def lines(board: Board, event: Event) -> Iterator[str]:
    """What a pipe is told of an event that was noted: a line for each verdict that changed, or that is new and does not hold."""
    match event:
        case Planned():
            count = len(event.scenarios)
            scopes = f", {' then '.join(event.scopes)}" if len(event.scopes) > 1 else ""
            yield f"{board.file}: {count} scenario{'s' if count != 1 else ''}{scopes}"
        case Found():
            change = board.change(event.key)
            if change or (not board.before and event.result.verdict not in (Verdict.HOLDS, Verdict.NOT_APPLICABLE)):
                yield told(board, event)
        case Wrong():
            yield event.text
        case Done():
            yield in_all(board)


def told(board: Board, found: Found) -> str:
    """What a scenario came to, in a line: from what, what broke or why, and how to see it."""
    result, old = found.result, board.before.get(found.key)
    was = f"{verdict_text(old)} -> " if old is not None else ""
    why = f" ({result.clause or result.reason})" if result.clause or result.reason else ""
    replay = f"; {command(result, result.counterexample)}" if result.counterexample else ""
    return f"{' '.join(_where(board, found.scope, result.scenario))}: {was}{verdict_text(result)}{why}{replay}"


def in_all(board: Board) -> str:
    """What all scenarios that were checked came to, and how many changed."""
    several = len(board.plan.scopes) > 1
    checked = [(scope, board.in_scope(scope)) for scope in board.plan.scopes]
    counts = [f"{scope}: {_counts(found)}" if several else _counts(found) for scope, found in checked if found]
    changed = [f"{len(board.changes()) or 'nothing'} changed"] if board.before else []
    return f"{board.file}: {'; '.join([*counts, *changed]) or 'nothing was checked'}"
