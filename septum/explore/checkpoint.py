"""Where a long exploration is kept, and what is told when a killed one goes on; checkpoint.c and resume.c do the work."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

REFUSALS = {
    1: "is a checkpoint of another model, or of another version of it; remove it to begin anew",
    2: "the checkpoint is damaged, or of another user; remove it to begin anew",
    3: "another run uses this checkpoint",
    4: "the checkpoint cannot be read",
}
"""Why a checkpoint cannot be used, by the number in run.h."""

IN_USE = 3

STALE_SECONDS = 30 * 24 * 3600.0
"""A checkpoint that nobody went on from for so long is removed when another one is made."""


def remove_stale(directory: Path) -> None:
    """Removes the checkpoints in a directory that nobody wrote to for long; a run writes to its own every few seconds."""
    for path in directory.glob("*.checkpoint*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept so that it can go on when it was killed: at the end of a level, at most every `seconds`.

    `model` is a digest of the model, and a checkpoint of another one is refused. With `resume` the run goes on from the file if
    it is there. The file is removed when the run is complete or has found something. One that is `kept` is also written when a
    limit ends the run, however short it was, and one that is not is removed then. What was not written with the same `key`, 16
    bytes, counts as damaged.
    """

    path: Path
    model: bytes
    resume: bool = False
    seconds: float = 10.0
    kept: bool = True
    key: bytes = bytes(16)

    @property
    def unfinished(self) -> Path:
        """What a checkpoint is called while it is written."""
        return self.path.with_name(self.path.name + ".part")

    def identity(self, initial: bytes, options: tuple[int, ...]) -> bytes:
        """What two runs must have in common for one to go on where the other stood."""
        return hashlib.sha256(repr((self.model, initial, [int(option) for option in options])).encode()).digest()

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Meanwhile, no other run takes the file or removes it; False where another one has it."""
        path = self.path.with_name(self.path.name + ".lock")
        try:
            lock = _locked(path)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a disk that takes no lock takes no checkpoint
            yield True
            return
        try:
            yield True
        finally:
            with suppress(OSError):
                path.unlink()
            os.close(lock)

    def remove(self) -> None:
        """Removes the file, and one that was not finished."""
        for path in (self.path, self.unfinished):
            with suppress(OSError):
                path.unlink()


def _locked(path: Path) -> int:
    """The file, locked, and there as long as it is; BlockingIOError where another run has it."""
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):  # who had it has removed it meanwhile
                if os.fstat(lock).st_ino == path.stat().st_ino:
                    return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


@dataclass(frozen=True)
class Resumed:
    """The level from which a run was resumed, what it had then, and what the killed run did since and is done again."""

    depth: int
    states: int
    seconds: float
    lost_levels: int
    lost_states: int
    lost_seconds: float

    def __str__(self) -> str:
        return (
            f"resumed at level {self.depth} with {self.states:,} states of {self.seconds:.1f} s; "
            f"lost: {self.lost_levels} levels, {self.lost_states:,} states, {self.lost_seconds:.1f} s"
        )
