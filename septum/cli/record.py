"""`septum record`: what a replay wants of a running kernel, into a file."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from septum.cli import duration
from septum.lang.errors import UserError


@click.command(short_help="Record a running kernel for replay (needs root).", context_settings={"ignore_unknown_options": True})
@click.option("--for", "seconds", type=duration.seconds, metavar="TIME", help="How long, as 10s (default: until COMMAND ends).")
@click.option("-o", "--output", metavar="FILE", default="vm.trace", show_default=True, help="Where the trace goes.")
@click.option("--buffer", metavar="KIB", default=65536, show_default=True, type=click.IntRange(1), help="Kibibytes for each CPU.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def record(context: click.Context, /, seconds: float | None, output: str, buffer: int, command: tuple[str, ...]) -> None:
    """Record the events of KVM that replay follows, in an instance of tracefs of its own, which goes again at the end.

    Records all VMs of the machine while COMMAND runs, for the time that --for gives, or until Ctrl-C.
    """
    from septum.replay.tracefs import instance

    target = Path(output)
    if not target.absolute().parent.is_dir():
        raise UserError(f"-o {output}: there is no directory {target.parent}")
    with terminated(), instance(buffer) as made:
        status = 0
        try:
            with made.recording():
                status = wait(command, seconds)
        except KeyboardInterrupt:
            pass  # the end that the user chose; what was recorded by then is kept
        size, lost = made.copy(target), made.lost()
    tell = f"septum: {output}: {size:,} bytes; follow it with: septum replay {output}"
    print(tell if not lost else f"{tell}\nseptum: {lost:,} events did not fit: --buffer {2 * buffer}", file=sys.stderr)
    context.exit(status)


def wait(command: tuple[str, ...], seconds: float | None) -> int:
    """Until a command ends, or for a time; the command's exit status."""
    if not command:
        time.sleep(seconds if seconds is not None else 1 << 30)
        return 0
    try:
        with subprocess.Popen(command) as process:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
                return 0
            except KeyboardInterrupt:
                process.wait()
                raise
    except OSError as error:
        raise UserError(f"{command[0]}: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def terminated() -> Iterator[None]:
    """While SIGTERM is what Ctrl-C is."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
