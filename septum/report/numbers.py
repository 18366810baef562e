"""Numbers for a reader: durations, memory sizes, ranges of lines."""

from __future__ import annotations

from collections.abc import Iterable


def duration(seconds: float) -> str:
    """0.04 s, 12.3 s, 2 min 5 s."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 100 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def memory(count: float) -> str:
    """512 B, 1.5 MiB, 4.0 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def ranges(numbers: Iterable[int]) -> str:
    """3-5, 9: consecutive numbers as ranges."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
