"""What every kind of input shares: how long it is tried, by which seed, and the line that says what came out."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("FUZZ_SEED", time.time_ns() % 2**32))


def tried(kind: str, once: Callable[[random.Random], str], wrong: Callable[[str], bool], share: float = 1.0) -> int:
    """Tries inputs for a share of the seconds, and prints how many and what came out; how many came out wrong.

    `once` tries one and names its outcome; of the first ten that are wrong, the seed is printed.
    """
    outcomes: Counter[str] = Counter()
    end, number, failed = time.monotonic() + SECONDS * share, 0, 0
    while time.monotonic() < end:
        seed = f"{SEED}-{number}"
        outcome = once(random.Random(seed))
        outcomes[outcome] += 1
        if wrong(outcome):
            failed += 1
            if failed <= 10:
                print(f"{kind}: WRONG: {outcome}, seed {seed}", flush=True)
        number += 1
    said = "; ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{kind}: {number:,} inputs (seed {SEED}): {said}", flush=True)
    return failed


def flipped(content: bytes, chance: random.Random) -> bytes:
    """With bits turned, bytes set, a piece cut out, doubled or moved."""
    found = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(found) or 1), chance.randint(1, 16)
        match chance.randrange(5):
            case 0 if found:
                found[at] ^= 1 << chance.randrange(8)
            case 1 if found:
                found[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
            case 2:
                del found[at : at + length]
            case 3:
                found[at:at] = found[at : at + length]
            case 4:
                found = found[:at] if chance.random() < 0.2 else found[at : at + length] + found
    return bytes(found)
