"""From C to a loaded library: the compiler found on the machine, and a cache by content."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from septum.lang.errors import NoCompiler, UserError

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


def cache_directory() -> Path:
    """Where compiled models are kept: $SEPTUM_CACHE, or the user's cache directory."""
    named = os.environ.get("SEPTUM_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "septum"
    )
    return Path(named)


def compiled(code: str, extra: tuple[str, ...] = ()) -> Path:
    """The shared object of `code`, compiled unless it is in the cache."""
    command = (*compiler(), *FLAGS, *extra)
    name = hashlib.sha256("\0".join([*command, code]).encode()).hexdigest()[:32]
    directory = cache_directory()
    target = directory / f"{name}.so"
    if not _is_whole(target):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _compile(command, code, target)
        except OSError as error:
            raise UserError(f"{directory}: {error.strerror}; set SEPTUM_CACHE to a directory that can be written") from None
    return target


def _is_whole(target: Path) -> bool:
    """Whether an object is there that was not cut short by a crash or a full disk: its loader needs the end of it."""
    try:
        return target.exists() and ctypes.CDLL(str(target)) is not None
    except OSError:
        return False


def _compile(command: tuple[str, ...], code: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        source, result = Path(scratch) / "model.c", Path(scratch) / "model.so"
        source.write_text(code)
        run = subprocess.run([*command, "-o", str(result), str(source)], capture_output=True, text=True, check=False)
        if run.returncode or not result.exists():
            kept = target.with_suffix(".c")
            kept.write_text(code)
            said = run.stderr[:2000].strip() or f"it printed nothing, exit status {run.returncode}"
            raise NoCompiler(f"{command[0]} does not compile the model ({kept}):\n{said}")
        os.replace(result, target)


def load(path: Path) -> ctypes.CDLL:
    """The library at `path`, with globals of its own even if it is loaded already."""
    return ctypes.CDLL(str(path))
