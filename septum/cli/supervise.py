"""The command in a process of its own, so that its exit status is a verdict whatever becomes of it.

A model may end the process that reads it, crash it or keep it from ever looking at a signal; memory may end anywhere. Then no
status of that process says anything: what it comes to is told by a byte that it writes last.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

BAD_INPUT, INCOMPLETE = 2, 3
PATIENCE = 15.0
"""Seconds after which a command that was asked to end is ended: it may have a checkpoint to write first."""

PR_SET_PDEATHSIG = 1
TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SI_KERNEL = 0x80


def supervised(command: Callable[[], int], *, quiet: bool = False) -> int:
    """Runs the command in a child; its exit status, 2 where it died of itself, 3 where it was killed or memory ended.

    `quiet`: until the command gives a signal a meaning, one ends it without a word, with 3.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {*TOLD, signal.SIGCHLD})
    try:
        said, say = os.pipe()
        child = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*TOLD, signal.SIGCHLD})
        return _run(command)
    if child == 0:
        os.close(said)
        _be_child(command, say, quiet=quiet)
    os.close(say)
    return _status(_wait(child), said)


def executed(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs another program, which hears what this one is told; its exit status, 3 where it was killed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*TOLD, signal.SIGCHLD})
    try:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            with suppress(OSError):
                os.execve(command[0], [*command], environment)
            os._exit(BAD_INPUT)
        status = os.waitstatus_to_exitcode(_wait(child))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return status if status >= 0 else INCOMPLETE


def _be_child(command: Callable[[], int], say: int, *, quiet: bool) -> None:
    """Ends the process."""

    def leave(*_: object) -> None:
        os.write(say, bytes([INCOMPLETE]))
        os._exit(INCOMPLETE)

    for number in (signal.SIGINT, signal.SIGTERM) if quiet else ():
        signal.signal(number, leave)
    os.set_inheritable(say, False)
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*TOLD, signal.SIGCHLD})
    try:
        status = _run(command)
        signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
    except KeyboardInterrupt:  # it came when the command had ended, and nobody was left to hear it
        status = INCOMPLETE
    for number in (signal.SIGINT, signal.SIGTERM) if quiet else ():
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os.write(say, bytes([status]))
    sys.exit(status)


def end_with_parent() -> None:
    """From now on this process is killed when the one that made it ends: who kills the one wants the other gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(command: Callable[[], int]) -> int:
    try:
        return command()
    except MemoryError:
        _say("the memory ended")
        return INCOMPLETE
    except (ImportError, OSError) as error:  # a library that there is no room for
        _say(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        return INCOMPLETE


def _wait(child: int) -> int:
    """The wait status of the child. What is said to this process alone is passed on; the terminal tells both."""
    killed = False
    end = None
    while True:
        patience = 3600.0 if end is None else max(end - time.monotonic(), 0.0)
        told = signal.sigtimedwait({*TOLD, signal.SIGCHLD}, patience)
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        if told and told.si_signo in TOLD:
            if told.si_code != SI_KERNEL:
                os.kill(child, told.si_signo)
            end = end or time.monotonic() + PATIENCE
        if end and not killed and time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            killed = True


def _status(waited: int, said: int) -> int:
    told = os.read(said, 1) if select.select([said], [], [], 0)[0] else b""
    if told:
        return told[0]
    if os.WIFSIGNALED(waited) and os.WTERMSIG(waited) == signal.SIGKILL:
        _say("was killed, by the system where memory ended, or since it did not end when it was told to")
        return INCOMPLETE
    how = signal.Signals(os.WTERMSIG(waited)).name if os.WIFSIGNALED(waited) else f"exit status {os.WEXITSTATUS(waited)}"
    _say(f"the run died ({how}) and has no result: what ends the process that reads it is no design")
    return BAD_INPUT


def _say(text: str) -> None:
    """To standard error, where there is room for it: what was said decides about no exit status."""
    with suppress(OSError):
        os.write(2, f"septum: {text}\n".encode())
