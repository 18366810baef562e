"""Mutated traces through the C readers under the address and undefined-behaviour sanitizers, and damaged archives through replay."""

from __future__ import annotations

from tests.fuzz.readers import main

if __name__ == "__main__":
    main()
