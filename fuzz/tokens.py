"""Tokens that were damaged, and tokens with a right checksum over anything: read, and replayed. None is a verdict or a defect."""

from __future__ import annotations

import base64
import random
import sys
import tempfile
import textwrap
from pathlib import Path
from unittest import mock

from _tally import flipped, tried

from septum.check import explain as explaining
from septum.check import tokens
from septum.check.check import check
from septum.check.loading import load
from septum.lang import UserError
from tests.check.test_tokens import MODEL


def main() -> int:
    path = Path(tempfile.mkdtemp()) / "small.py"
    path.write_text(textwrap.dedent(MODEL))
    model = load(str(path))
    mock.patch.object(explaining, "load", return_value=model).start()
    found = [check(model, scenario).counterexample for scenario in ("counts", "waits")]
    words = [one.token for one in found if one]

    def damaged(chance: random.Random) -> str:
        word = chance.choice(words)
        other = flipped(word.encode(), chance).decode("latin-1")
        return "as it was" if other == word else outcome(other)

    def forged(chance: random.Random) -> str:
        whole = base64.urlsafe_b64decode(chance.choice(words)[3:] + "==")[tokens.CHECK :]
        kept = chance.choice([0, 4, 8, 8, 9, 9])
        packed = whole[:kept] + flipped(whole[kept:], chance)
        return "as it was" if packed == whole else outcome(tokens._spelled(packed), forged=True)

    def outcome(word: str, forged: bool = False) -> str:
        try:
            result = explaining.explain(word, str(path))
        except UserError as error:
            return "do not end as they claim" if "as it claims" in str(error) else "bad input"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return f"another way to {result.property}" if forged else f"a VERDICT: {word}"

    wrong = tried("tokens, damaged", damaged, lambda said: said not in ("bad input", "as it was"), 0.5)
    good = ("bad input", "as it was", "do not end as they claim")
    return wrong + tried("tokens, forged", forged, lambda said: said not in good and not said.startswith("another way"), 0.5)


if __name__ == "__main__":
    sys.exit(main() > 0)
