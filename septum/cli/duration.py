"""A length of time on the command line."""

from __future__ import annotations

import re

import click

UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """10, 10s, 500ms, 5m in seconds; click.BadParameter if it is no length of time."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|)", text, re.ASCII)
    if not found or float(found[1]) <= 0:
        raise click.BadParameter(f"{text}: write 10s, 500ms or 5m")
    return float(found[1]) * UNITS[found[2]]
