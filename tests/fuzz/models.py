"""Models whose text was changed, a token of Python at a time."""

from __future__ import annotations

import io
import random
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NUMBERS = ["0", "1", "2", "255", "256", "65537", "1 << 20", "1 << 31", "1 << 40", "1 << 64", "-1"]


def sources() -> list[str]:
    """Whole models: the one of the README twice, as it is the smallest, and the examples."""
    documented = (ROOT / "README.md").read_text().split("```python\n")
    pool = next(text.split("```")[0] for text in documented if "two_takers" in text)
    found = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    return [pool, pool, *(text for text in found if "Model(" in text)]


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    skipped = (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT)
    return (one for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.type not in skipped)


def changed(text: str, chance: random.Random) -> str:
    """With one or two tokens gone, doubled, or another one in their place, as long as it is still made of tokens."""
    for _ in range(chance.randint(1, 2)):
        try:
            text = _changed_once(text, chance)
        except (tokenize.TokenError, IndentationError, SyntaxError):
            break
    return text


def _changed_once(text: str, chance: random.Random) -> str:
    lines, parts = text.splitlines(keepends=True), list(_tokens(text))
    one, other = chance.choice(parts), chance.choice(parts)
    if one.start[0] != one.end[0]:
        return text
    new = chance.choice(["", other.string, chance.choice(NUMBERS), f"{one.string} {one.string}", f"({one.string})"])
    line = lines[one.start[0] - 1]
    lines[one.start[0] - 1] = line[: one.start[1]] + new.replace("\n", " ") + line[one.end[1] :]
    return "".join(lines)
