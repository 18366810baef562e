"""Where the text of a trace comes from: a file or standard input, plain or compressed, or through the tool that wrote it."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from septum.lang.errors import UserError

CHUNK = 1 << 18
GZIP, XZ, ZSTD = b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
TRACE_DAT, PERF_DATA = b"\x17\x08\x44tracing", b"PERFILE2"


class Truncated(UserError):
    """A compressed trace that ends in the middle; what came before it was followed."""


@contextmanager
def chunks(trace: str) -> Iterator[Iterator[bytes]]:
    """The text of a trace in pieces, as they come; `-` is standard input. UserError if it cannot be opened or unpacked."""
    if trace == "-":
        with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
            yield _text(stream, trace)
        return
    path = Path(trace)
    if path.is_dir():
        raise UserError(f"{trace}: is a directory; TRACE is a file, or - for standard input")
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{trace}: {(error.strerror or str(error)).lower()}") from None
    with file:
        yield _text(file, trace)


def _text(stream: io.BufferedReader, trace: str) -> Iterator[bytes]:
    magic = stream.peek(16)[:16]
    if magic.startswith(GZIP):
        return _unpacked(gzip.GzipFile(fileobj=stream), trace)
    if magic.startswith(XZ):
        return _unpacked(lzma.LZMAFile(stream), trace)
    if magic.startswith(ZSTD):
        return _through(
            ("zstd", "-dcq"), stream, trace, "the command zstd unpacks it; or give its output: zstd -dc FILE | septum replay -"
        )
    if magic.startswith(TRACE_DAT):
        return _report(("trace-cmd", "report", "-N", "-i"), trace, "trace-cmd report -N -i FILE")
    if magic.startswith(PERF_DATA):
        return _report(("perf", "script", "-i"), trace, "perf script -i FILE")
    return _pieces(stream)


def _pieces(stream: io.BufferedReader) -> Iterator[bytes]:
    while piece := stream.read1(CHUNK):
        yield piece


def _unpacked(file: gzip.GzipFile | lzma.LZMAFile, trace: str) -> Iterator[bytes]:
    try:
        while piece := file.read1(CHUNK):
            yield piece
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, OSError) as error:
        raise Truncated(f"{trace}: the compressed data ends early or is damaged ({error})") from None


def _report(command: Sequence[str], trace: str, by_hand: str) -> Iterator[bytes]:
    if trace == "-":
        raise UserError(f"standard input is a binary trace; give its text: {by_hand} | septum replay -")
    advice = f"{command[0]} reads it and is not installed; where it is: {by_hand} | septum replay -"
    return _through((*command, trace), None, trace, advice)


def _through(command: Sequence[str], stream: IO[bytes] | None, trace: str, advice: str) -> Iterator[bytes]:
    """What a command prints, which reads `stream` if there is one."""
    if not shutil.which(command[0]):
        raise UserError(f"{trace}: {advice}")
    return _output(command, stream, trace)


def _output(command: Sequence[str], stream: IO[bytes] | None, trace: str) -> Iterator[bytes]:
    source = subprocess.PIPE if stream else subprocess.DEVNULL
    with subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        said: list[bytes] = []
        errors = process.stderr
        listener = threading.Thread(target=lambda: said.append(errors.read()))
        listener.start()
        if stream is not None:
            threading.Thread(target=_pour, args=(stream, process.stdin), daemon=True).start()
        try:
            while piece := process.stdout.read(CHUNK):
                yield piece
        except GeneratorExit:
            process.kill()
            raise
        finally:
            listener.join()
        if process.wait():
            message = b"".join(said).decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise Truncated(f"{trace}: {command[0]} ended with status {process.returncode}: {message[-1]}")


def _pour(stream: IO[bytes], into: IO[bytes]) -> None:
    try:
        shutil.copyfileobj(stream, into)
        into.close()
    except (BrokenPipeError, ValueError):
        pass  # the command ended first, and its status says why
