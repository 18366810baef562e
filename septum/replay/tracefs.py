"""An instance of the kernel's tracer that records what a replay wants, and nothing else: made, read, and taken away again."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from septum.lang.errors import UserError
from septum.lang.whole import whole

TRACEFS = Path("/sys/kernel/tracing")
EVENTS = ("kvmmmu", "kvm/kvm_page_fault", "kvm/kvm_unmap_hva_range")
SETTINGS = (
    ("tracing_on", "0"),
    ("trace_clock", "global"),  # one clock for all CPUs
    ("options/record-tgid", "1"),  # which VM a thread belongs to
    ("options/overwrite", "0"),  # what does not fit is the end, and not the beginning
)
CHUNK = 1 << 16


class Instance:
    """A buffer of one's own, so that nobody else's tracing is touched."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, value: str) -> None:
        """Sets a file of the instance; UserError if the kernel refuses."""
        try:
            (self.path / name).write_text(value)
        except OSError as error:
            raise UserError(f"{self.path / name}: {(error.strerror or str(error)).lower()}, as {value} was written") from None

    def enable(self, kibibytes: int) -> None:
        """Switches on what is to be recorded, but not the recording."""
        for name, value in SETTINGS:
            self.write(name, value)
        self.write("buffer_size_kb", str(kibibytes))  # of each CPU
        for event in EVENTS:
            if not (self.path / "events" / event / "enable").exists():
                raise UserError(f"{self.path / 'events' / event}: the kernel has no such events; is the module kvm loaded?")
            self.write(f"events/{event}/enable", "1")

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While events are recorded."""
        self.write("tracing_on", "1")
        try:
            yield
        finally:
            self.write("tracing_on", "0")

    def copy(self, target: Path) -> int:
        """The trace into a file; how many bytes it has."""
        size = 0
        with whole(target) as into, (self.path / "trace").open("rb") as source:
            while piece := source.read(CHUNK):
                size += into.write(piece)
        return size

    def lost(self) -> int:
        """Events that did not fit into a buffer, of all CPUs."""
        count = 0
        for stats in sorted(self.path.glob("per_cpu/cpu*/stats")):
            for line in stats.read_text().splitlines():
                name, _, number = line.partition(": ")
                if name in ("overrun", "dropped events") and number.isdigit():
                    count += int(number)
        return count

    def pieces(self, until: Callable[[], bool]) -> Iterator[bytes]:
        """What trace_pipe gives, as it comes, until told to end; an empty piece where nothing came for a moment."""
        with (self.path / "trace_pipe").open("rb", buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            while not until():
                ready, _, _ = select.select([pipe], [], [], 0.1)
                try:
                    piece = pipe.read(CHUNK) if ready else b""
                except OSError as error:
                    raise UserError(f"{self.path / 'trace_pipe'}: {(error.strerror or str(error)).lower()}") from None
                if not piece:
                    time.sleep(0.02)
                yield piece or b""


@contextmanager
def instance(kibibytes: int, root: Path | None = None) -> Iterator[Instance]:
    """An instance that is set up, and gone afterwards, whatever happens; UserError says what is needed to make one."""
    root = root or TRACEFS
    if not root.is_dir() or not (root / "instances").is_dir():
        raise UserError(f"{root}: there is no tracefs; mount -t tracefs tracefs {root}, as root")
    path = root / "instances" / f"septum-{os.getpid()}"
    try:
        path.mkdir()
    except PermissionError:
        raise UserError(f"{root}: recording needs root: run it with sudo") from None
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    made = Instance(path)
    try:
        made.enable(kibibytes)
        yield made
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    """Takes an instance away: the kernel removes its files with it."""
    for name in ("tracing_on", "events/enable"):
        with suppress(OSError):  # it goes in any case
            (path / name).write_text("0")
    try:
        path.rmdir()
    except OSError as error:
        raise UserError(f"{path}: stays, {(error.strerror or str(error)).lower()}; rmdir {path}, as root, removes it") from None
