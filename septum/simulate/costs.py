"""What things take: a table of numbers, each with its source, or marked as measured by nobody."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.lang import UserError
from septum.simulate.books import CostTable

DEFAULT = Path(__file__).parent / "costs.toml"
BASICS = ("step", "page", "accept", "refused")
OTHER = "other"
PICOSECONDS = 1000  # of a nanosecond
ESTIMATE = "estimate"


@dataclass(frozen=True)
class Cost:
    """What one thing takes, in nanoseconds. `source` says who gave the number; `measured`, whether that was by measuring it."""

    nanoseconds: float
    source: str
    measured: bool = False


@dataclass(frozen=True)
class Costs:
    """The cost of each of BASICS, and of SEAMCALLs by the name of the leaf, or else as `other`."""

    basics: Mapping[str, Cost]
    leaves: Mapping[str, Cost]

    def of(self, leaf: str) -> Cost:
        """The cost of a leaf."""
        return self.leaves.get(leaf, self.leaves[OTHER])

    def table(self, leaves: Sequence[str]) -> CostTable:
        """The same for C, with the leaves in the order of their numbers."""
        table = CostTable(*(round(self.basics[name].nanoseconds * PICOSECONDS) for name in BASICS))
        for number, leaf in enumerate(leaves):
            table.leaf[number] = round(self.of(leaf).nanoseconds * PICOSECONDS)
        return table


def read_costs(file: str = "") -> Costs:
    """The default table, and over it what a file says. UserError for a file that is none."""
    tables = [_read(DEFAULT)] + ([_read(Path(file))] if file else [])
    sums: dict[str, Any] = {name: one for table in tables for name, one in table.get("sums", {}).items()}
    basics = {name: _cost(table[name], name, sums) for table in tables for name in BASICS if name in table}
    leaves = {name: _cost(one, name, sums) for table in tables for name, one in table.get("leaf", {}).items()}
    return Costs(basics, leaves)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"--costs {path}: {(error.strerror or str(error)).lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--costs {path}: {error}") from None
    unknown = sorted(set(found) - {*BASICS, "sums", "leaf"})
    if unknown:
        raise UserError(f"--costs {path}: {unknown[0]} is no cost; there are {', '.join(BASICS)}, leaf.NAME and sums.NAME")
    return found


def _cost(entry: Any, name: str, sums: Mapping[str, Any]) -> Cost:
    number = entry.get("nanoseconds") if isinstance(entry, dict) else None
    if not isinstance(number, int | float) or not 0 <= number < 1e12:
        raise UserError(f"--costs: {name} wants `nanoseconds`, a number from 0")
    if (of := entry.get("part_of")) is not None:
        if of not in sums:
            raise UserError(f"--costs: {name} is part of {of}, and there is no sums.{of}")
        return Cost(number, f"{ESTIMATE}, a part of {sums[of]['nanoseconds']:,} ns: {sums[of]['source']}")
    return Cost(number, str(entry.get("source", ESTIMATE)), bool(entry.get("measured", False)))
