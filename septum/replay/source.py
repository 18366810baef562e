"""Where the text of a trace comes from: a file or standard input, plain or compressed, or through the tool that wrote it."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from septum.lang.errors import UserError

CHUNK = 1 << 16  # so little that its memory is used again: more is asked of the kernel each time, and cleared
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
        return _sniffed(_unpacked(gzip.GzipFile(fileobj=stream), trace), trace)
    if magic.startswith(XZ):
        return _sniffed(_unpacked(lzma.LZMAFile(stream), trace), trace)
    if magic.startswith(ZSTD):
        advice = "the command zstd unpacks it; or give its output: zstd -dc FILE | septum replay -"
        return _sniffed(_through(("zstd", "-dcq"), stream, trace, advice), trace)
    tool = _tool(magic)
    if tool and trace == "-":
        raise UserError(f"standard input is a binary trace; give its text: {tool.by_hand} | septum replay -")
    return _report(tool, trace, trace) if tool else _pieces(stream)


def _pieces(stream: io.BufferedReader) -> Iterator[bytes]:
    while piece := stream.read1(CHUNK):
        yield piece


def _unpacked(file: gzip.GzipFile | lzma.LZMAFile, trace: str) -> Iterator[bytes]:
    try:
        while piece := file.read1(CHUNK):
            yield piece
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise Truncated(f"{trace}: the compressed data is cut or damaged ({error})") from None


@dataclass(frozen=True)
class Tool:
    """What reads a binary trace: the command, whose last argument is the file, and how a user says it."""

    command: tuple[str, ...]
    by_hand: str


FIELDS = "comm,pid,tid,cpu,time,event,trace"
TRACE_CMD = Tool(("trace-cmd", "report", "-N", "-i"), "trace-cmd report -N -i FILE")
PERF = Tool(
    ("perf", "script", "--show-lost-events", "-f", "-F", FIELDS, "-i"), f"perf script --show-lost-events -F {FIELDS} -i FILE"
)


def _tool(magic: bytes) -> Tool | None:
    """The tool for a binary trace that begins so; None for text."""
    return TRACE_CMD if magic.startswith(TRACE_DAT) else PERF if magic.startswith(PERF_DATA) else None


def _sniffed(pieces: Iterator[bytes], trace: str) -> Iterator[bytes]:
    """What was packed: text, or a binary trace, which a tool can only read from a file."""
    first = next(pieces, b"")
    tool = _tool(first)
    if tool is None:
        yield first
        yield from pieces
        return
    from tempfile import NamedTemporaryFile

    cut: Truncated | None = None
    with NamedTemporaryFile(prefix="septum-") as file:
        try:
            file.write(first)
            for piece in pieces:
                file.write(piece)
        except Truncated as error:
            cut = error
        except OSError as error:
            raise UserError(f"{trace}: cannot be unpacked into {file.name}: {error.strerror}") from None
        file.flush()
        yield from _report(tool, file.name, trace)
    if cut:
        raise cut


def _report(tool: Tool, file: str, trace: str) -> Iterator[bytes]:
    """The text of a binary trace. A file that was cut makes trace-cmd print nothing, and end well."""
    advice = f"{tool.command[0]} reads it and is not installed; where it is: {tool.by_hand} | septum replay -"
    printed = False
    for piece in _through((*tool.command, file), None, trace, advice):
        printed = True
        yield piece
    if not printed:
        raise Truncated(f"{trace}: {tool.command[0]} printed nothing: is the file whole?")


def _through(command: Sequence[str], stream: IO[bytes] | None, trace: str, advice: str) -> Iterator[bytes]:
    """What a command prints, which reads `stream` if there is one."""
    if not shutil.which(command[0]):
        raise UserError(f"{trace}: {advice}")
    return _output(command, stream, trace)


def _output(command: Sequence[str], stream: IO[bytes] | None, trace: str) -> Iterator[bytes]:
    from subprocess import DEVNULL, PIPE, Popen

    with Popen(command, stdin=PIPE if stream else DEVNULL, stdout=PIPE, stderr=PIPE) as process:
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
