"""`--budget 60s,4GiB,10M`: where a check ends, in time, memory and states."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from septum.lang.errors import UserError

_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_STATES = {"": 1, "k": 10**3, "M": 10**6, "states": 1}
_KINDS = {"seconds": _SECONDS, "bytes": _BYTES, "states": _STATES}
_ADVICE = "write a duration (60s, 5m), a memory size (4GiB, 512MiB) or a number of states (10M, 200k)"


def limits(texts: Iterable[str]) -> dict[str, Any]:
    """The limits that the texts give, each at most one of seconds, bytes and states."""
    found: dict[str, Any] = {}
    for item in (item.strip() for text in texts for item in text.split(",")):
        kind, amount = _limit(item)
        if kind in found:
            raise UserError(f"--budget {item}: a limit of {kind} was given already")
        found[kind] = amount
    return found


def _limit(item: str) -> tuple[str, float]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", item, re.ASCII)
    for kind, units in _KINDS.items():
        if match and match[2] in units:
            amount = float(match[1]) * units[match[2]]
            if amount < (1 if kind != "seconds" else 0.001):
                raise UserError(f"--budget {item}: a check needs more than that; {_ADVICE}")
            return kind, amount if kind == "seconds" else int(amount)
    raise UserError(f"--budget {item or repr(item)}: {_ADVICE}")
