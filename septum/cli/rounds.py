"""The checks after one save of a watched file, in a process of their own: it knows nothing of the last save, and can be ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from septum.check.check import check  # once, and not after every save
from septum.cli import names
from septum.cli.app import DEFECT
from septum.cli.progress import INTERVAL, describe
from septum.cli.runs import Interrupt
from septum.cli.supervise import end_with_parent
from septum.lang.errors import UserError
from septum.report.board import Done, Event, Exploring, Found, Planned, Still, Wrong

if TYPE_CHECKING:
    from septum.explore.explore import Progress
    from septum.lang.model import Model

USUAL = "small"
PATIENCE = 2.0
"""Seconds in which checks that were told to end do so; then they are ended."""

Say = Callable[[Event], None]


@dataclass(frozen=True)
class Asked:
    """What is checked: a file, the scenarios that were named (none: all), and the largest scope, "" for the usual one."""

    file: str
    scenarios: tuple[str, ...] = ()
    scope: str = ""


def check_all(asked: Asked, say: Say) -> None:
    """Checks each scenario in the smallest scope, then in the one that was asked for; tells what comes out, or what is wrong."""
    try:
        model = names.load(asked.file)
        plan = _plan(model, asked)
        say(plan)
        for scope in plan.scopes:
            for scenario in plan.scenarios:
                _check(model, asked.file, scenario, scope, say)
    except UserError as error:
        say(Wrong(str(error)))
    else:
        say(Done())


def _plan(model: Model, asked: Asked) -> Planned:
    known = names.scenarios([model])
    for scenario in asked.scenarios:
        names.known("scenario", scenario, known, asked.file)
    scopes = list(names.scopes([model]))
    last = names.known("scope", asked.scope, scopes, asked.file) if asked.scope else USUAL if USUAL in scopes else ""
    return Planned(tuple(dict.fromkeys([*scopes[:1], last])), asked.scenarios or tuple(known))


def _check(model: Model, file: str, scenario: str, scope: str, say: Say) -> None:
    told = time.monotonic()

    def progress(far: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= INTERVAL:
            told = time.monotonic()
            say(Exploring(scope, scenario, tuple(describe(far))))

    say(Exploring(scope, scenario))
    found = check(model, scenario, scope_name=scope, progress=progress, fresh=False)
    say(Found(scope, replace(found, design=file)))


class Round:
    """The checks of one save, begun; `quiet`, where what a model prints has no place."""

    def __init__(self, asked: Asked, *, quiet: bool) -> None:
        context = multiprocessing.get_context("fork")
        self._said, say = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(asked, say, quiet), daemon=True)
        self._process.start()
        say.close()
        self._over = False

    def next(self, seconds: float) -> Event:
        """What it tells next; Still where it tells nothing for so long, and after the last."""
        if not wait([] if self._over else [self._said], seconds):
            return Still()
        try:
            event: Event = self._said.recv()
        except (EOFError, OSError):
            self._process.join()
            event = Wrong(f"the run died ({self._death()}): what ends the process that reads it is no design")
        self._over = isinstance(event, Done | Wrong)
        return event

    def _death(self) -> str:
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def end(self) -> None:
        """Ends what still runs."""
        self._process.terminate()
        self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._said.close()


def _run(asked: Asked, pipe: Connection, quiet: bool) -> None:
    """In the process of its own. The first signal ends the check that runs, and no other one begins."""
    end_with_parent()
    if quiet:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    with Interrupt() as interrupt:

        def say(event: Event) -> None:
            if interrupt.seen:
                raise KeyboardInterrupt
            pipe.send(event)

        try:
            interrupt.running = True
            check_all(asked, say)
        except KeyboardInterrupt:
            return
        except MemoryError:
            pipe.send(Wrong("the memory ended"))
        except Exception as error:
            pipe.send(Wrong(f"{DEFECT}: {type(error).__name__}: {error}"))
