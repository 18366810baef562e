"""From C to a loaded library: the compiler found on the machine, and a cache by content."""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from septum.lang.errors import NoCompiler, OutOfTime, UserError
from septum.translate.cache import cache_directory, is_whole, put, scratch

FLAGS = ("-std=gnu11", "-O1", "-fPIC", "-shared", "-pthread", "-fno-strict-aliasing")


@functools.cache
def compiler() -> tuple[str, ...]:
    """The command of a C compiler: $CC, cc, gcc, clang, or zig from PyPI's ziglang; NoCompiler if there is none."""
    named = os.environ.get("CC")
    if named:
        if not shutil.which(named.split()[0]):
            raise NoCompiler(f"CC={named}: no such command; unset CC or name a C compiler")
        return tuple(named.split())
    for command in ("cc", "gcc", "clang"):
        if shutil.which(command):
            return (command,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "cc")
    raise NoCompiler("no C compiler found (cc, gcc, clang, or `pip install ziglang`); --engine python needs none")


def has_compiler() -> bool:
    """Whether there is a C compiler; a $CC that cannot be run is a mistake, and not the lack of one."""
    if os.environ.get("CC"):
        compiler()
    try:
        compiler()
    except NoCompiler:
        return False
    return True


def compiled(code: str, extra: tuple[str, ...] = ()) -> Path:
    """The shared object of `code`, compiled unless it is in the cache; $CFLAGS come after septum's own flags."""
    command = _command(extra)
    target = _target(command, code)
    if not is_whole(target):
        try:
            _compile(command, code, target)
        except OSError as error:
            raise UserError(f"{target.parent}: {error.strerror}; set SEPTUM_CACHE to a directory that can be written") from None
    return target


def is_compiled(code: str, extra: tuple[str, ...] = ()) -> bool:
    """Whether the shared object is in the cache."""
    return is_whole(_target(_command(extra), code))


def build_command() -> list[str]:
    """How libraries are made: the machine, the compiler, and what it is told; empty without one."""
    return [platform.machine(), *_command(())] if has_compiler() else []


def _command(extra: tuple[str, ...]) -> tuple[str, ...]:
    return (*compiler(), *FLAGS, *extra, *os.environ.get("CFLAGS", "").split())


def _target(command: tuple[str, ...], code: str) -> Path:
    name = hashlib.sha256("\0".join([platform.machine(), *command, code]).encode()).hexdigest()[:32]
    return cache_directory() / f"{name}.so"


def _compile(command: tuple[str, ...], code: str, target: Path) -> None:
    with scratch(target.parent) as directory:
        source, result = directory / "model.c", directory / "model.so"
        source.write_text(code)
        status, said = _run([*command, "-o", str(result), str(source)], directory)
        if status or not result.exists():
            kept = target.with_suffix(".c")
            kept.write_text(code)
            said = said[:2000].strip() or f"it printed nothing, exit status {status}"
            raise NoCompiler(f"{command[0]} does not compile the model ({kept}):\n{said}")
        put(result, target)


def _run(command: Sequence[str], directory: Path) -> tuple[int, str]:
    """The exit status and the complaints of a compiler. Where the wait for it ends early, so does all that it started."""
    import subprocess

    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        env={**os.environ, "TMPDIR": str(directory)}, start_new_session=True,
    ) as child:  # fmt: skip
        _running.add(child.pid)
        try:
            if _over.is_set():
                raise OutOfTime
            _, said = child.communicate()
        except BaseException:
            _kill(child.pid)
            raise
        finally:
            _running.discard(child.pid)
        if _over.is_set():
            raise OutOfTime
        return child.returncode, said


def compiling(code: str, extra: tuple[str, ...] = ()) -> Callable[[], bool]:
    """Compiles beside whatever else the process does, as long as that lasts; tells whether it is done, well or not."""

    def run() -> None:
        with suppress(UserError, NoCompiler, OutOfTime):
            compiled(code, extra)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    atexit.register(_end, thread)
    return lambda: not thread.is_alive()


_running: set[int] = set()
_over = threading.Event()


def _end(beside: threading.Thread) -> None:
    """What compiles when the process ends does so too."""
    _over.set()
    for process in [*_running]:
        _kill(process)
    beside.join()


def _kill(process: int) -> None:
    """With all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def load(path: Path, mode: int = ctypes.DEFAULT_MODE) -> ctypes.CDLL:
    """The library at `path`, in a mode of dlopen; UserError where the machine does not take it."""
    try:
        return ctypes.CDLL(str(path), mode)
    except OSError as error:
        raise UserError(f"{error}; set SEPTUM_CACHE to a directory from which libraries are loaded") from None
