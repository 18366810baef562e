"""Mutated traces through the C readers under sanitizers of addresses and undefined behaviour; damaged archives in replay."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fuzz.readers import main

if __name__ == "__main__":
    main()
