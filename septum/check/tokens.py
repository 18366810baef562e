"""A schedule as a short word that replays, or as a file where it is too long for one.

The word carries hashes of the design's name, the scenario's name and the model's code, so that it is refused, and not replayed
wrongly, once they changed; and a checksum of 32 bits. Each word has one spelling, and each of its fields is checked: what is
read here is well formed, and whether it ends as it claims is for the replay to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from septum.check.versions import patch_applied
from septum.explore.build import Build
from septum.lang.errors import UserError
from septum.lang.types import Size
from septum.lang.whole import write_whole

LONGEST, LARGEST_FILE = 80, 1 << 24
VERSION = "s2"
CHECK, NAMES, DIGEST, LOOP_BYTES = 4, 4, 4, 4
DEADLOCKS, SIZES, JUDGED, LOOPS, RACES, EVENTS, EXCEPTS, PATCHED = 1, 2, 4, 8, 16, 32, 64, 128
MOST_THREADS, CHOICE_BYTES = 32, 4
SIZE = re.compile(r"([A-Za-z_][A-Za-z_0-9]{0,63})=(0|[1-9][0-9]{0,8})")

Schedule = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Token:
    """What a word says: hashes of names and code, sizes that were overridden, how the schedule ends, the schedule.

    `judged` is the hash of the one property that was judged, or nothing; `excepted` are the sites, by number, that are set aside
    and behind which the schedule goes on; `patch` is the hash of the patch that the model had, or nothing. `loop` is the step
    from which it goes round for ever, if it does. With `race` it leads to where two next steps race, with `event` its last step
    reaches an event.
    """

    design: bytes
    scenario: bytes
    digest: bytes
    sizes: dict[str, int]
    deadlock: bool
    judged: bytes
    schedule: Schedule
    loop: int | None = None
    race: bool = False
    event: bool = False
    excepted: tuple[int, ...] = ()
    patch: bytes = b""


def name_hash(name: str) -> bytes:
    """Two bytes that tell names of designs and scenarios apart."""
    return hashlib.sha256(name.encode()).digest()[:2]


def digest(build: Build) -> bytes:
    """Four bytes for the model, the design and the scope."""
    sizes = sorted(
        f"{key.name}={value}" for key, value in build.bindings.items() if isinstance(key, Size) and isinstance(value, int)
    )
    text = "\0".join([build.scenario.name, *sizes, build.translation.code])
    return hashlib.sha256(text.encode() + build.world).digest()[:DIGEST]


def write(
    build: Build,
    schedule: Schedule,
    sizes: dict[str, int],
    deadlock: bool,
    directory: Path,
    loop: int | None = None,
    race: bool = False,
    event: bool = False,
    excepted: Collection[int] = (),
) -> str:
    """A word of at most 80 characters, or the name of a file in `directory`."""
    loops, patch = loop is not None, patch_applied()[1]
    kinds = DEADLOCKS * deadlock | LOOPS * loops | RACES * race | EVENTS * event
    flags = bytes([kinds | SIZES * bool(sizes) | JUDGED * bool(build.judged) | EXCEPTS * bool(excepted) | PATCHED * bool(patch)])
    packed = (
        name_hash(build.model.name)
        + name_hash(build.scenario.name)
        + digest(build)
        + flags
        + (name_hash(build.judged) if build.judged else b"")
        + (",".join(f"{name}={value}" for name, value in sizes.items()).encode() + b"\0" if sizes else b"")
        + (b"" if loop is None else loop.to_bytes(LOOP_BYTES, "big"))
        + (b"".join(map(_number, [len(excepted), *sorted(excepted)])) if excepted else b"")
        + patch
        + _packed(schedule)
    )
    word = _spelled(packed)
    if len(word) <= LONGEST:
        return word
    name = f"{build.model.name}-{build.scenario.name}-{hashlib.sha256(packed).hexdigest()[:6]}.schedule"
    target = directory / re.sub(r"[^\w.-]", "_", name)
    write_whole(target, word + "\n")
    return str(target)


def read(word: str) -> Token:
    """The Token of a word or of the file that it names; UserError for anything else."""
    if word.endswith(".schedule"):
        word = _in_file(Path(word))
    shown = f"{word[:20]}..." if word[:20].isprintable() else ascii(word[:20])
    version, _, text = word.partition("-")
    if version != VERSION:
        raise UserError(f"{shown}: no token of this septum; a token begins with {VERSION}-, a file ends with .schedule")
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)[CHECK:]
        if _spelled(packed) != word:
            raise ValueError
        return _token(packed)
    except (ValueError, binascii.Error):
        raise UserError(f"{shown}: the token is damaged; copy it whole") from None


def _in_file(path: Path) -> str:
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file; a schedule file is one that septum wrote")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{str(path)!r}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST_FILE:
        raise UserError(f"{path}: is larger than {LARGEST_FILE:,} bytes; no schedule of septum is")
    return content.decode("ascii", "replace").strip()


def _spelled(packed: bytes) -> str:
    whole = zlib.crc32(packed).to_bytes(CHECK, "big") + packed
    return f"{VERSION}-{base64.urlsafe_b64encode(whole).decode().rstrip('=')}"


class _Bytes:
    """What is left of a token, taken from the front; ValueError where there is not so much."""

    def __init__(self, rest: bytes) -> None:
        self.rest, self.at = rest, 0

    def __bool__(self) -> bool:
        return self.at < len(self.rest)

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.rest):
            raise ValueError("it ends too soon")
        self.at += count
        return self.rest[self.at - count : self.at]

    def take_text(self) -> str:
        end = self.rest.index(b"\0", self.at)
        text = self.take(end - self.at).decode("ascii")
        self.take(1)
        return text


def _token(packed: bytes) -> Token:
    """ValueError for what no septum writes."""
    rest = _Bytes(packed)
    names, made_of, [flags] = rest.take(NAMES), rest.take(DIGEST), rest.take(1)
    if (flags & (DEADLOCKS | LOOPS | RACES | EVENTS)).bit_count() > 1:
        raise ValueError("no such end")
    judged = rest.take(2) if flags & JUDGED else b""
    sizes = _sizes(rest.take_text()) if flags & SIZES else {}
    loop = int.from_bytes(rest.take(LOOP_BYTES), "big") if flags & LOOPS else None
    excepted = tuple(_choice(rest) for _ in range(_choice(rest))) if flags & EXCEPTS else ()
    if flags & EXCEPTS and (not excepted or sorted({*excepted}) != [*excepted]):
        raise ValueError("no such sites")
    patch = rest.take(2) if flags & PATCHED else b""
    schedule = _unpacked(rest)
    if loop is not None and loop >= len(schedule):
        raise ValueError("no step of the schedule is in the loop")
    ends = bool(flags & RACES), bool(flags & EVENTS)
    return Token(names[:2], names[2:], made_of, sizes, bool(flags & DEADLOCKS), judged, schedule, loop, *ends, excepted, patch)


def _sizes(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        match = SIZE.fullmatch(part)
        if not match or match[1] in found:
            raise ValueError("no size")
        found[match[1]] = int(match[2])
    return found


def _packed(schedule: Schedule) -> bytes:
    """Up to 16 steps of a thread without choices as one byte; a step with a choice as its thread and the choice."""
    packed = bytearray()
    for thread, choice in schedule:
        run = packed[-1] if packed else 0
        if choice == 0 and run & 0xF0 == 0x80 | thread << 4 and run & 0x0F < 0x0F and thread < 8:
            packed[-1] += 1
        elif choice == 0 and thread < 8:
            packed.append(0x80 | thread << 4)
        else:
            packed += bytes([thread]) + _number(choice)
    return bytes(packed)


def _number(choice: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth."""
    if choice < 0x80:
        return bytes([choice])
    return bytes([0x80 | choice & 0x7F]) + _number(choice >> 7)


def _unpacked(rest: _Bytes) -> Schedule:
    schedule: list[tuple[int, int]] = []
    while rest:
        [first] = rest.take(1)
        if first & 0x80:
            schedule += [(first >> 4 & 0x07, 0)] * ((first & 0x0F) + 1)
        elif first < MOST_THREADS:
            schedule.append((first, _choice(rest)))
        else:
            raise ValueError("no such thread")
    return tuple(schedule)


def _choice(rest: _Bytes) -> int:
    choice = 0
    for place in range(CHOICE_BYTES):
        [byte] = rest.take(1)
        choice |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return choice
    raise ValueError("no such choice")
