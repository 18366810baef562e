"""What `septum sources` says: a table of the functions that the model stands for, and what a maintainer reads below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any

from septum.report.style import rendered, table
from septum.sources.compare import DRIFT, Row, State, unknown
from septum.sources.reader import Function
from septum.sources.tree import Tree

TABLE_WIDTH = 200  # no line of the table is folded
STYLE = {State.THERE: "green", State.MOVED: "yellow", **dict.fromkeys(DRIFT, "bold red")}


@dataclass(frozen=True)
class Seen:
    """A tree and what was found in it: a row for each function that the model names, the others by call depth."""

    tree: Tree
    rows: Sequence[Row]
    beyond: Sequence[Sequence[Function]]

    @property
    def title(self) -> str:
        return self.tree.release or self.tree.root.name

    @property
    def drifted(self) -> bool:
        """Whether a function that the model stands for is not what it was."""
        return any(row.state in DRIFT for row in self.rows)


def text(seen: Sequence[Seen], known: frozenset[str], depth: int, width: int, colour: bool, only_drift: bool = False) -> str:
    """Of one tree all that there is to say, of several the table and the sums."""
    parts = [states(seen, colour, only_drift), "\n".join(sums(one) for one in seen) + "\n"]
    if len(seen) == 1 and not only_drift:
        parts += [*details(seen[0], known, width), *others(seen[0], depth, width)]
    parts += [part for one in seen if not only_drift for part in unread(one)]
    return "\n".join(parts)


def states(seen: Sequence[Seen], colour: bool, only_drift: bool) -> str:
    """The table: a line for each kernel function and release, a column for each tree."""
    drawn = table()
    for heading in ("kernel function", "named for", *(one.title for one in seen), "model"):
        drawn.add_column(heading, no_wrap=True)
    for rows in zip(*(one.rows for one in seen), strict=True):
        if not only_drift or any(row.state in DRIFT for row in rows):
            told = [f"[{STYLE[row.state]}]{row.told}[/]" if row.state in STYLE else row.told for row in rows]
            drawn.add_row(rows[0].name, rows[0].release, *told, ", ".join(dict.fromkeys(one.file for one in rows[0].models)))
    return rendered(drawn, width=TABLE_WIDTH, colour=colour)


def sums(seen: Seen) -> str:
    """How many there are of each state, in a line."""
    counts = Counter(row.state for row in seen.rows)
    said = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    return f"{seen.title}: {seen.tree.count():,} functions and macros; of {len(seen.rows)} that the model names: {said}"


def details(seen: Seen, known: frozenset[str], width: int) -> Iterator[str]:
    """For each modelled function the locks that it takes and the calls that the model does not know, in their order."""
    lines = []
    for function in {row.name: row.function for row in seen.rows if row.function}.values():
        order = in_order(function, known)
        if order:
            lines += [f"{function.name}, {function.file}:{function.line}", _folded(order, width)]
    if lines:
        yield "Locks, and calls that the model does not know, in the order in which they are made\n" + "\n".join(lines) + "\n"


def in_order(function: Function, known: frozenset[str]) -> list[str]:
    """Locks with their argument, other calls by name."""
    wanted = {*function.locks, *unknown(function, known)}
    return [str(call) if call.locks else call.name for call in function.calls if call in wanted]


def others(seen: Seen, depth: int, width: int) -> Iterator[str]:
    """Functions that the model does not stand for: how many at each depth, their names down to `depth`."""
    if not seen.beyond:
        return
    lines = ["Functions that the model does not stand for, by how many calls they are from one that it stands for"]
    for number, functions in enumerate(seen.beyond, 1):
        lines.append(f"{number}: {len(functions)}")
        if number <= depth and functions:
            lines.append(_folded([one.name for one in functions], width))
    yield "\n".join(lines) + "\n"


def unread(seen: Seen) -> Iterator[str]:
    """What could not be read, and why."""
    if seen.tree.unread:
        lines = [f"  {one.file}:{one.line} {one.name}: {one.why}" for one in seen.tree.unread.values()]
        yield f"Could not be read of {seen.title}\n" + "\n".join(lines) + "\n"


def document(seen: Sequence[Seen], known: frozenset[str]) -> dict[str, Any]:
    """All of it as one document."""
    return {"trees": [_tree(one, known) for one in seen]}


def _tree(seen: Seen, known: frozenset[str]) -> dict[str, Any]:
    return {
        "release": seen.tree.release,
        "places": list(seen.tree.places),
        "functions": [_entry(row, known) for row in seen.rows],
        "beyond": [[{"name": one.name, "file": one.file, "line": one.line} for one in depth] for depth in seen.beyond],
        "unread": [asdict(one) for one in seen.tree.unread.values()],
    }


def _entry(row: Row, known: frozenset[str]) -> dict[str, Any]:
    function = row.function
    return {
        "name": row.name,
        "release": row.release,
        "model": [{"function": one.function, "file": one.file, "line": one.line} for one in row.models],
        "state": str(row.state),
        "against": row.against,
        "changed": list(row.changed),
        "renamed": row.renamed,
        "before": row.before,
        "file": function.file if function else "",
        "line": function.line if function else 0,
        "locks": [str(call) for call in function.locks] if function else [],
        "unknown": [call.name for call in unknown(function, known)] if function else [],
        "order": in_order(function, known) if function else [],
    }


def _folded(names: Sequence[str], width: int) -> str:
    return fill(", ".join(names), width, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
