"""The cache directory: compiled models and checkpoints, which nobody else may have written, and which go in the end.

An object lies beside its digest, and one without, or with another, is not there. Both are forced to disk before they get their
names, so a crash leaves an object or none.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import hmac
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from septum.lang.errors import UserError

MOST_BYTES = 1 << 30
MOST_SECONDS, LEAST_SECONDS = 30 * 24 * 3600.0, 3600.0
"""What nobody used for so long goes, and, beyond MOST_BYTES, what was used longest ago; but nothing that was used just now."""

KINDS = (".so", ".sha256", ".c", ".json", ".verdict")
SCRATCH = "compiling-"
SEAL = 32


def cache_directory() -> Path:
    """$SEPTUM_CACHE, or the user's cache directory; where that cannot be trusted, a new one for this process, and it is said."""
    named = os.environ.get("SEPTUM_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return _usable(Path(named).absolute() if named else Path(base, "septum"), bool(named))


@functools.cache
def _usable(directory: Path, named: bool) -> Path:
    if not directory.is_absolute():
        return _own("there is no HOME")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        if named:
            raise UserError(f"{directory}: {error.strerror}; set SEPTUM_CACHE to a directory that can be written") from None
        return _own(f"{directory}: {error.strerror}")
    if status.st_uid != os.geteuid():
        return _own(f"{directory}: belongs to another user")
    if status.st_mode & 0o022:
        return _own(f"{directory}: others may write to it (chmod go-w mends that)")
    return directory


def _own(reason: str) -> Path:
    from tempfile import mkdtemp

    directory = Path(mkdtemp(prefix="septum-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    print(f"septum: {reason}; what a run leaves is kept for this one alone; SEPTUM_CACHE names another place", file=sys.stderr)
    return directory


def secret() -> bytes:
    """Sixteen bytes that nobody else knows: what is sealed with them is the user's own."""
    path = cache_directory() / "key"
    with suppress(OSError):
        found = path.read_bytes()
        if len(found) == 16 and _is_mine(path):
            return found
    made = os.urandom(16)
    with suppress(OSError), scratch(path.parent) as directory:
        (directory / "key").touch(0o600)
        (directory / "key").write_bytes(made)
        os.replace(directory / "key", path)
    return made


def keep(name: str, content: bytes) -> None:
    """Keeps a few bytes under a name, sealed as the user's own; a disk that does not take them is no failure."""
    target = cache_directory() / name
    with suppress(OSError), scratch(target.parent) as directory:
        made = directory / name
        made.write_bytes(_seal(name, content) + content)
        made.chmod(0o600)
        os.replace(made, target)


def kept(name: str) -> bytes | None:
    """What was kept under that name; None where there is nothing, or what this user did not keep there as it is."""
    path = cache_directory() / name
    try:
        found = path.read_bytes()
        if not _is_mine(path) or not hmac.compare_digest(found[:SEAL], _seal(name, found[SEAL:])):
            return None
        os.utime(path)
    except OSError:
        return None
    return found[SEAL:]


def _seal(name: str, content: bytes) -> bytes:
    return hmac.digest(secret(), name.encode() + b"\0" + content, "sha256")


def is_whole(target: Path) -> bool:
    """Whether the object is there, and is what was put there; then it counts as used."""
    try:
        digest = _digest(target)
        whole = hashlib.sha256(target.read_bytes()).hexdigest() == digest.read_text() and _is_mine(target) and _is_mine(digest)
        if whole:
            os.utime(target)
            os.utime(digest)
    except (OSError, UnicodeDecodeError):
        return False
    return whole


def _is_mine(path: Path) -> bool:
    status = path.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def put(made: Path, target: Path) -> None:
    """Gives an object its name; its digest comes last, so what is cut short counts as not there."""
    digest = made.with_suffix(".sha256")
    digest.write_text(hashlib.sha256(made.read_bytes()).hexdigest())
    for path, name in ((made, target), (digest, _digest(target))):
        path.chmod(0o700)
        _sync(path)
        os.replace(path, name)
    _sync(target.parent)


def _digest(target: Path) -> Path:
    return target.with_suffix(".sha256")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


_cleaned: set[Path] = set()
"""Where this process has looked for what others left; to look each time takes longer than what is kept there."""


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A directory below that goes with its process: whoever comes next removes what a killed one left."""
    from tempfile import mkdtemp

    with _alone(directory):
        if directory not in _cleaned:
            _clean(directory)
            _cleaned.add(directory)
        path = Path(mkdtemp(prefix=SCRATCH, dir=directory))
        lock = os.open(path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """While nobody else makes or removes anything in the directory."""
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _clean(directory: Path) -> None:
    for path in directory.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
    now, kept = time.time(), 0
    for used, size, path in sorted(_objects(directory), key=lambda one: -one[0]):
        kept += size
        if now - used > MOST_SECONDS or (kept > MOST_BYTES and now - used > LEAST_SECONDS):
            for kind in KINDS:
                with suppress(OSError):
                    path.with_suffix(kind).unlink()


def _objects(directory: Path) -> Iterator[tuple[float, int, Path]]:
    """When each was used last, its bytes, its path."""
    for path in directory.iterdir():
        if path.suffix in KINDS:
            with suppress(OSError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path
