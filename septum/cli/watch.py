"""`septum watch`: a file is checked on every save, and what that changed is shown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

from septum.cli import completion, names
from septum.cli.output import colour, write
from septum.lang.errors import UserError

if TYPE_CHECKING:
    from septum.cli.rounds import Round
    from septum.report.board import Board, Event

INTERVAL = 0.3
"""Seconds between two looks at the files."""

INTERRUPTED = 3
Show = Callable[["Board", "Event | None"], None]
"""Told of an event that the board has noted; None as a round begins."""


class Checks(Protocol):
    """The checks of one save, which can be ended."""

    def end(self) -> None: ...


Begun = TypeVar("Begun", bound=Checks)


@click.command(no_args_is_help=True, short_help="Check a file on every save.")
@click.argument("file", shell_complete=completion.designs)
@completion.scenario_option()
@click.option("--scope", metavar="NAME", default="", help="The largest scope; see `septum list scopes` (default: small).")
@click.pass_context
def watch(context: click.Context, /, file: str, scenarios: Sequence[str], scope: str) -> None:
    """Check FILE, a design or a model, now and whenever it, or a module beside it that it imports, is saved.

    Each scenario is checked in the smallest scope first, then in the one of --scope. Shows which scenarios changed their verdict
    since the last save, what does not hold, and the first lines of the first counterexample; in a pipe, a line a change.

    Exit status: 0 after Ctrl-C, 3 if checks were running, 2 for bad input.
    """
    from septum.cli.rounds import Asked, Round
    from septum.cli.runs import Interrupt
    from septum.report.board import Board

    _check_file(file)
    files, board, on_screen = Files(Path(file)), Board(file), _has_screen()
    asked = Asked(file, tuple(scenarios), scope)

    def begin() -> Round:
        files.look()
        return Round(asked, quiet=on_screen)

    def wait(checks: Round) -> Event | None:
        return None if files.changed() else checks.next(INTERVAL)

    try:
        with Interrupt() as interrupt, shown_on_screen() if on_screen else shown_as_lines() as show:
            interrupt.running = True  # from here on, a signal ends it
            follow(board, begin, wait, show)
    except KeyboardInterrupt:
        _tell_the_end(board, on_screen)
    context.exit(0 if board.rests else INTERRUPTED)


def _check_file(file: str) -> None:
    if not Path(file).is_file():
        names.load(file)  # says what there is
        raise UserError(f"{file} is built in, and never saved; `septum new mine --from {file}` makes a file of it")


def follow(board: Board, begin: Callable[[], Begun], wait: Callable[[Begun], Event | None], show: Show) -> None:
    """Begins checks and shows what they come to, as `wait` says. None is a save: it ends them, and begins again."""
    while True:
        show(board, None)
        checks = begin()
        try:
            while (event := wait(checks)) is not None:
                board.note(event)
                show(board, event)
        finally:
            checks.end()
        board.saved()


class Files:
    """A file and the modules beside it that it imports, as they were when they were last looked at."""

    def __init__(self, file: Path) -> None:
        self.file, self._next = file, 0.0
        self.look()

    def look(self) -> None:
        """As they are now is how they were."""
        from septum.check.beside import modules_beside

        self._seen = {path: _state(path) for path in modules_beside(self.file)}

    def changed(self) -> bool:
        """Whether one was saved since; it looks once an INTERVAL. A file that is gone is not saved: an editor may put it back."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + INTERVAL
        return any(state and state != seen for path, seen in self._seen.items() for state in [_state(path)])


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _has_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def shown_on_screen() -> Iterator[Show]:
    """A screen of its own; what stood on the terminal comes back at the end."""
    from rich.console import Console
    from rich.control import Control

    from septum.report.board import Still
    from septum.report.watched import screen

    console = Console(highlight=False, no_color=not colour())
    drawn = None

    def show(board: Board, event: Event | None) -> None:
        nonlocal drawn
        if not isinstance(event, Still) or console.size != drawn:  # the terminal may have another size now
            drawn = console.size
            console.control(Control.home())
            context.update(screen(board, *drawn))

    with console.screen() as context:
        yield show


@contextmanager
def shown_as_lines() -> Iterator[Show]:
    """A line for each change. When its reader leaves, it ends as with Ctrl-C."""
    from septum.report.watched import lines

    def show(board: Board, event: Event | None) -> None:
        for line in lines(board, event) if event else ():
            if not write(line):
                raise KeyboardInterrupt

    yield show


def _tell_the_end(board: Board, on_screen: bool) -> None:
    """On a terminal, what is known when the screen goes."""
    from septum.report.watched import in_all, told

    if on_screen:
        write("\n".join([*(told(board, one) for one in board.failing()), *filter(None, [board.wrong]), in_all(board)]))
