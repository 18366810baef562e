"""A checkpoint that somebody made with care: what its lengths and numbers say is looked at before it is used."""

import ctypes
import random
import struct
import subprocess

import pytest

from septum.explore.checkpoint import Checkpoint
from septum.explore.explore import Budget, Outcome, sources
from septum.explore.watching import RaceRecord
from septum.lang.errors import UserError
from tests.explore import test_explore
from tests.explore.test_explore import COMPILER, numbers

toy = test_explore.toy

MODEL, KEY = b"the toy", b"a key of my own."
NAMES = "version identity state_size coverage states transitions final_states frontier depth bytes seconds race witnesses deeper"
NAMES += " crowded slots chunks level next body_bytes body_seal"
FIELDS = NAMES.split()
LAYOUT = struct.Struct(f"<Q32s2Q6Qd{ctypes.sizeof(RaceRecord)}s5Q2Q2Q")
SEAL, HEADER = struct.Struct("<Q"), LAYOUT.size + 8 + 24
CHUNK, BATCH = 1 << 19, struct.Struct("<II")


@pytest.fixture(scope="module")
def seal(tmp_path_factory):
    """`seal(bytes)`: what the explorer writes beside them."""
    folder = tmp_path_factory.mktemp("seal")
    [path] = [path for path in sources()[""] if path.name == "seal.c"]
    (folder / "seal.c").write_text(
        f'#include <stdint.h>\n#include <string.h>\n#include "{path}"\n'
        "uint64_t sealed(const char *key, const char *from, size_t bytes)\n"
        "{ struct seal seal = begin_seal((const uint8_t *)key); add_to_seal(&seal, from, bytes); return end_seal(seal); }\n"
    )
    subprocess.run([*COMPILER, "-shared", "-fPIC", "seal.c", "-o", "seal.so"], cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / "seal.so")).sealed
    function.restype, function.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    return lambda content: function(KEY, content, len(content))


def header(whole):
    """The fields of a checkpoint by name."""
    return dict(zip(FIELDS, LAYOUT.unpack_from(whole), strict=True))


class Forger:
    """A checkpoint in parts, and put together again with seals that fit."""

    def __init__(self, whole, seal):
        self.fields, self.body, self.note, self.seal = header(whole), bytearray(whole[HEADER:]), whole[HEADER - 24 : HEADER], seal

    def forged(self, **fields):
        told = {**self.fields, "body_bytes": len(self.body), "body_seal": self.seal(bytes(self.body)), **fields}
        front = LAYOUT.pack(*(told[name] for name in FIELDS))
        return front + SEAL.pack(self.seal(front)) + self.note + bytes(self.body)

    @property
    def prints(self):
        """Where the fingerprints begin in the body."""
        return self.fields["coverage"] + self.fields["chunks"] * CHUNK

    @property
    def batches(self):
        return self.prints + 16 * self.fields["states"]


@pytest.fixture
def kept(tmp_path):
    return Checkpoint(tmp_path / "run.checkpoint", MODEL, resume=True, seconds=0, key=KEY)


@pytest.fixture
def forger(toy, kept, seal):
    assert toy("A").explore(budget=Budget(states=2_000), checkpoint=kept, workers=1).outcome is Outcome.OUT_OF_STATES
    return Forger(kept.path.read_bytes(), seal)


def refused(toy, kept, content):
    kept.path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        toy("A").explore(checkpoint=kept)


def test_what_is_put_together_again_is_one(toy, kept, forger):
    kept.path.write_bytes(forger.forged())
    assert numbers(toy("A").explore(checkpoint=kept)) == numbers(toy("A").explore())


def test_without_the_key_there_is_no_seal_that_fits(toy, kept, forger):
    other = Checkpoint(kept.path, MODEL, resume=True, seconds=0, key=b"another's key...")
    with pytest.raises(UserError, match="damaged, or of another user"):
        toy("A").explore(checkpoint=other)


LENGTHS = ["states", "depth", "deeper", "crowded", "slots", "chunks", "level", "next", "body_bytes"]


@pytest.mark.parametrize("field", LENGTHS)
def test_a_length_that_is_none_is_refused(toy, kept, forger, field):
    for value in (1 << 20, (1 << 20) + 1, 1 << 32, 1 << 40, 1 << 61, (1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1):
        if field != "slots" or value != 1 << 20:  # a table may be larger than it need be
            refused(toy, kept, forger.forged(**{field: value}))
    if field not in ("deeper", "crowded", "next", "depth"):
        refused(toy, kept, forger.forged(**{field: 0}))
    if field in ("states", "slots", "level", "next", "body_bytes"):
        refused(toy, kept, forger.forged(**{field: forger.fields[field] + 1}))


RACES = {
    "neither found nor not": {"found": 2},
    "of no thread": {"found": 1, "thread": 1 << 31},
    "with no partner": {"found": 1, "partner": 99},
    "of no choice": {"found": 1, "choice": 1 << 16},
    "outside of the state": {"found": 1, "offset": (1 << 30, 0, 0, 0)},
    "from a state that is none": {"found": 1, "state": 1 << 40},
    "at an expression that is none": {"found": 1, "site": (1, 0)},
}


@pytest.mark.parametrize("what", RACES)
def test_a_race_that_is_none_is_refused(toy, kept, forger, what):
    race = RaceRecord()
    for name, value in RACES[what].items():
        setattr(race, name, type(getattr(race, name))(*value) if isinstance(value, tuple) else value)
    refused(toy, kept, forger.forged(race=bytes(race)))


def test_a_fingerprint_of_zero_is_refused(toy, kept, forger):
    for half in (0, 8):
        body = bytes(forger.body)
        forger.body[forger.prints + half : forger.prints + half + 8] = bytes(8)
        refused(toy, kept, forger.forged())
        forger.body[:] = body


@pytest.mark.parametrize("link", [1 << 63, (1 << 64) - 1, 31 << 19, 1 << 40], ids=hex)
def test_a_link_to_nowhere_is_refused(toy, kept, forger, link):
    at = forger.fields["coverage"] + 8
    forger.body[at : at + 8] = link.to_bytes(8, "little")
    refused(toy, kept, forger.forged())


# Of the first batch: where, and what is written there. Behind its count and length come a state's number, sum, and blocks.
BATCHES = {
    "no state": (0, bytes(4)),
    "more states than there are": (0, b"\xff\0\0\0"),
    "the most states": (0, b"\xff" * 4),
    "no body": (4, bytes(4)),
    "a body that is too large": (4, (1 << 14).to_bytes(4, "little")),
    "the largest body": (4, b"\xff" * 4),
    "a number outside of the log": (8, (1 << 17).to_bytes(8, "little")),
    "the largest number": (8, b"\xff" * 8),
    "a block more": (8 + 32, b"\x40\0\0\0"),
    "the most blocks": (8 + 32, b"\xff" * 4),
    "a block beyond the state": (8 + 36 + 1, b"\xff" * 3),
    "a block just beyond the state": (8 + 36 + 1, b"\x10\0\0"),
}


@pytest.mark.parametrize(("place", "content"), BATCHES.values(), ids=BATCHES)
def test_a_batch_that_is_none_is_refused(toy, kept, forger, place, content):
    at = forger.batches + place
    forger.body[at : at + len(content)] = content
    refused(toy, kept, forger.forged())


def test_whatever_stands_in_the_batches_the_run_ends(toy, kept, forger):
    """Bytes of the heads and blocks at random: refused, or explored to some end."""
    chance, body = random.Random(1), bytes(forger.body)
    for _ in range(15):
        for _ in range(chance.randint(1, 4)):
            forger.body[chance.randrange(forger.batches, forger.batches + 48)] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        kept.path.write_bytes(forger.forged())
        try:
            toy("A").explore(checkpoint=kept, budget=Budget(states=100_000))
        except UserError as error:
            assert "damaged" in str(error)  # noqa: PT017 (either end is right)
        forger.body[:] = body
