"""A schedule as a short word that replays, or as a file where it is too long for one.

The word carries hashes of the design's name, the scenario's name and the model's code, so that it is refused, and not replayed
wrongly, once they changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

from septum.explore.build import Build
from septum.lang.errors import UserError
from septum.lang.types import Size

LONGEST = 80
VERSION = "s1"
HEADER, LOOP_BYTES = 9, 4
DEADLOCKS, SIZES, JUDGED, LOOPS, RACES = 1, 2, 4, 8, 16

Schedule = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Token:
    """What a word says: hashes of names and code, sizes that were overridden, how the schedule ends, the schedule.

    `judged` is the hash of the one property that was judged, or nothing. `loop` is the step from which the schedule goes round
    for ever, if it does. With `race` it leads to where two next steps race.
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


def name_hash(name: str) -> bytes:
    """Two bytes that tell names of designs and scenarios apart."""
    return hashlib.sha256(name.encode()).digest()[:2]


def digest(build: Build) -> bytes:
    """Four bytes for the model, the design and the scope."""
    sizes = sorted(
        f"{key.name}={value}" for key, value in build.bindings.items() if isinstance(key, Size) and isinstance(value, int)
    )
    text = "\0".join([build.scenario.name, *sizes, build.translation.code])
    return hashlib.sha256(text.encode() + build.world).digest()[:4]


def write(
    build: Build,
    schedule: Schedule,
    sizes: dict[str, int],
    deadlock: bool,
    directory: Path,
    loop: int | None = None,
    race: bool = False,
) -> str:
    """A word of at most 80 characters, or the name of a file in `directory`."""
    loops = loop is not None
    kinds = DEADLOCKS * deadlock | LOOPS * loops | RACES * race
    flags = bytes([kinds | SIZES * bool(sizes) | JUDGED * bool(build.judged)])
    judged = name_hash(build.judged) if build.judged else b""
    overridden = json.dumps(sizes, separators=(",", ":")).encode() + b"\0" if sizes else b""
    packed = (
        name_hash(build.model.name)
        + name_hash(build.scenario.name)
        + digest(build)
        + flags
        + judged
        + overridden
        + (b"" if loop is None else loop.to_bytes(LOOP_BYTES, "big"))
        + _packed(schedule)
    )
    check = zlib.crc32(packed).to_bytes(4, "big")[:1]
    word = f"{VERSION}-{base64.urlsafe_b64encode(check + packed).decode().rstrip('=')}"
    if len(word) <= LONGEST:
        return word
    target = directory / f"{build.model.name}-{build.scenario.name}-{hashlib.sha256(packed).hexdigest()[:6]}.schedule"
    try:
        target.write_text(word + "\n")
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}; the schedule is too long for a token and goes to a file") from None
    return str(target)


def read(word: str) -> Token:
    """The Token of a word or of the file that it names; UserError for anything else."""
    path = Path(word)
    if path.suffix == ".schedule":
        try:
            word = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: {getattr(error, 'strerror', error)}") from None
    version, _, text = word.partition("-")
    if version != VERSION:
        raise UserError(f"{word[:20]}: no token of this septum; a token begins with {VERSION}-, a file ends with .schedule")
    try:
        whole = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        check, packed = whole[:1], whole[1:]
        if len(packed) < HEADER or zlib.crc32(packed).to_bytes(4, "big")[:1] != check:
            raise ValueError
        sizes, rest = {}, packed[HEADER:]
        judged = rest[:2] if packed[8] & JUDGED else b""
        rest = rest[len(judged) :]
        if packed[8] & SIZES:
            text_, _, rest = rest.partition(b"\0")
            sizes = json.loads(text_)
        loop = int.from_bytes(rest[:LOOP_BYTES], "big") if packed[8] & LOOPS else None
        schedule = _unpacked(rest if loop is None else rest[LOOP_BYTES:])
        deadlock, race = bool(packed[8] & DEADLOCKS), bool(packed[8] & RACES)
        return Token(packed[:2], packed[2:4], packed[4:8], sizes, deadlock, judged, schedule, loop, race)
    except (ValueError, binascii.Error, IndexError):
        raise UserError(f"{word[:20]}...: the token is damaged; copy it whole") from None


def _packed(schedule: Schedule) -> bytes:
    """Up to 16 steps of a thread without choices as one byte; a step with a choice as three."""
    packed = bytearray()
    for thread, choice in schedule:
        run = packed[-1] if packed else 0
        if choice == 0 and run & 0xF0 == 0x80 | thread << 4 and run & 0x0F < 0x0F and thread < 8:
            packed[-1] += 1
        elif choice == 0 and thread < 8:
            packed.append(0x80 | thread << 4)
        else:
            packed += bytes([thread, choice & 0x7F, choice >> 7 & 0x7F])
    return bytes(packed)


def _unpacked(packed: bytes) -> Schedule:
    schedule: list[tuple[int, int]] = []
    at = 0
    while at < len(packed):
        if packed[at] & 0x80:
            schedule += [(packed[at] >> 4 & 0x07, 0)] * ((packed[at] & 0x0F) + 1)
            at += 1
        else:
            schedule.append((packed[at], packed[at + 1] | packed[at + 2] << 7))
            at += 3
    return tuple(schedule)
