"""Compiled models that were damaged on disk: none is loaded."""

from __future__ import annotations

import os
import random
import sys
import tempfile

from _tally import flipped, tried

os.environ["SEPTUM_CACHE"] = tempfile.mkdtemp()

from septum.translate.cache import is_whole
from septum.translate.compile import compiled


def main() -> int:
    target = compiled("int answer(void) { return 42; }")
    contents = {path: path.read_bytes() for path in (target, target.with_suffix(".sha256"))}

    def once(chance: random.Random) -> str:
        path = chance.choice(list(contents))
        other = flipped(contents[path], chance)
        path.write_bytes(other)
        whole = is_whole(target)
        path.write_bytes(contents[path])
        return "as it was" if other == contents[path] else "LOADED" if whole else "made anew"

    return tried("objects", once, lambda said: said == "LOADED", 0.2)


if __name__ == "__main__":
    sys.exit(main() > 0)
