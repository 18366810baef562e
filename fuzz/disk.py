"""A disk that is full at each write of each command that writes: a told refusal, or the same in spite of it, and nothing half."""

from __future__ import annotations

import sys

from _tally import SECONDS

from tests.fuzz.disk import started


def main() -> int:
    run = started(1 << 20, SECONDS)
    print(run.stdout, end="")
    print(run.stderr[-4000:], end="", file=sys.stderr)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
