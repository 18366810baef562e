"""Models whose text was changed, a token of Python at a time, so that it is Python still."""

from __future__ import annotations

import ast
import io
import random
import tokenize
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
NUMBERS = ["0", "1", "2", "255", "256", "65537", "1 << 20", "1 << 31", "1 << 40", "1 << 64", "-1"]
KINDS = (tokenize.NAME, tokenize.NUMBER, tokenize.OP)


def sources() -> list[str]:
    """Whole models: the one of the README twice, as it is the smallest, and the examples."""
    documented = (ROOT / "README.md").read_text().split("```python\n")
    pool = next(text.split("```")[0] for text in documented if "two_takers" in text)
    found = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    return [pool, pool, *(text for text in found if "Model(" in text)]


def changed(text: str, chance: random.Random) -> str:
    """With one or two tokens gone, doubled, negated, or another one of their kind in their place."""
    for _ in range(chance.randint(1, 2)):
        other = _changed_once(text, chance)
        while not _is_python(other):
            other = _changed_once(text, chance)
        text = other
    return text


def _changed_once(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    parts = [one for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.type in KINDS]
    one = chance.choice(parts)
    other = chance.choice([part for part in parts if part.type == one.type])
    new = chance.choice(
        ["", other.string, other.string, chance.choice(NUMBERS), f"{one.string} {one.string}", f"not {one.string}"]
    )
    line = lines[one.start[0] - 1]
    lines[one.start[0] - 1] = line[: one.start[1]] + new + line[one.end[1] :]
    return "".join(lines)


def _is_python(text: str) -> bool:
    with warnings.catch_warnings(action="ignore"):
        try:
            ast.parse(text)
        except SyntaxError:
            return False
    return True
