"""Checkpoints that were damaged, or sealed again over lengths and batches that were changed: refused, or explored to an end."""

from __future__ import annotations

import ctypes
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from _tally import ROOT, flipped, tried

from septum.explore.checkpoint import Checkpoint
from septum.explore.explore import Budget, explore, sources
from septum.lang import UserError
from tests.explore.test_explore import COMPILER, Toy
from tests.explore.test_forged import KEY, MODEL, Forger

HARMLESS = {"version", "state_size", "coverage", "body_bytes", "body_seal"}


def toy(folder: Path) -> Toy:
    hooks = ROOT / "tests" / "explore"
    parts = [hooks / "explorer_toy.c", *(path for part in sources().values() for path in part), hooks / "explorer_toy_hooks.c"]
    seal = "EXPORTED uint64_t sealed(const char *from, size_t bytes)\n{ struct seal s = begin_seal((const uint8_t *)"
    seal += f'"{KEY.decode()}"); add_to_seal(&s, from, bytes); return end_seal(s); }}\n'
    (folder / "toy.c").write_text("".join(f'#include "{part}"\n' for part in parts) + seal)
    flags = ["-std=gnu11", "-O1", "-g", "-shared", "-fPIC", "-pthread", "-DCONFIG='A'", "-DPLANT=0", "-DPADDING=0"]
    subprocess.run([*COMPILER, *flags, "toy.c", "-o", "toy.so"], cwd=folder, check=True)
    return Toy(ctypes.CDLL(str(folder / "toy.so")))


def main() -> int:
    folder = Path(tempfile.mkdtemp())
    made, kept = toy(folder), Checkpoint(folder / "checkpoint", MODEL, resume=True, seconds=0, key=KEY)
    made.library.sealed.restype, made.library.sealed.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t)
    made.explore(budget=Budget(states=2_000), checkpoint=kept, workers=1)
    whole = kept.path.read_bytes()

    def outcome() -> str:
        try:
            found = explore(
                made.library, made.initial, made.threads, symmetry=False, checkpoint=kept, budget=Budget(states=60_000)
            )
        except UserError as error:
            return "damaged" if "damaged" in str(error) else "refused"
        return f"explored: {found.outcome.name}"

    def damaged(chance: random.Random) -> str:
        content = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.choice([chance.randrange(300), chance.randrange(len(content))])
            content[at] ^= 1 << chance.randrange(8)
        cut = chance.random() < 0.1
        kept.path.write_bytes(content[: chance.randrange(len(content))] if cut else content)
        return outcome()

    def forged(chance: random.Random) -> str:
        forger = Forger(whole, lambda content: made.library.sealed(content, len(content)))
        values = [0, 1, 1 << 20, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1]
        names = [name for name, value in forger.fields.items() if isinstance(value, int) and name not in HARMLESS]
        fields = {chance.choice(names): chance.choice(values) for _ in range(chance.randint(0, 1))}
        if chance.random() < 0.7:
            begin = chance.choice([forger.batches, forger.prints, 0])
            piece = bytes(forger.body[begin : begin + 200])
            forger.body[begin : begin + 200] = flipped(piece, chance)
        kept.path.write_bytes(forger.forged(**fields))
        return outcome()

    # The file ends in a note of 24 bytes that says what was lost since, and a flip of that is told as it stands.
    wrong = tried("checkpoints, damaged", damaged, lambda said: said not in ("damaged", "refused", "explored: COMPLETE"), 0.3)
    return wrong + tried("checkpoints, forged", forged, lambda said: False, 0.7)


if __name__ == "__main__":
    sys.exit(main() > 0)
