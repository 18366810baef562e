"""Models whose text was changed, a token of Python at a time: a verdict, or one clear message; never a defect of septum."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

from _tally import ROOT, tried

STATUS = {0: "hold", 1: "are violated or vacuous", 2: "bad input", 3: "incomplete"}
NUMBERS = ["0", "1", "2", "255", "256", "65537", "1 << 20", "1 << 31", "1 << 40", "1 << 64", "-1"]


def sources() -> list[str]:
    documented = (ROOT / "README.md").read_text().split("```python\n")
    pool = next(text.split("```")[0] for text in documented if "two_takers" in text)
    found = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    return [pool, pool, *(text for text in found if "Model(" in text)]


def tokens_of(text: str) -> Iterator[tokenize.TokenInfo]:
    skipped = (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT)
    return (one for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.type not in skipped)


def changed(text: str, chance: random.Random) -> str:
    lines, parts = text.splitlines(keepends=True), list(tokens_of(text))
    one, other = chance.choice(parts), chance.choice(parts)
    if one.start[0] != one.end[0]:
        return text
    new = chance.choice(["", other.string, chance.choice(NUMBERS), f"{one.string} {one.string}", f"({one.string})"])
    line = lines[one.start[0] - 1]
    lines[one.start[0] - 1] = line[: one.start[1]] + new.replace("\n", " ") + line[one.end[1] :]
    return "".join(lines)


def main() -> int:
    folder, texts = Path(tempfile.mkdtemp()), sources()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def once(chance: random.Random) -> str:
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 2)):
            try:
                text = changed(text, chance)
            except (tokenize.TokenError, IndentationError, SyntaxError):
                break
        (folder / "model.py").write_text(text)
        command = [sys.executable, "-m", "septum", "check", "model.py", "--budget", "2s,20k"]
        try:
            run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return "DO NOT END"
        if "Traceback" in run.stderr or "defect" in run.stderr or run.returncode not in STATUS:
            (folder / f"wrong-{chance.randrange(10**6)}.py").write_text(text)
            return f"DEFECT ({folder}): {run.stderr.strip()[-300:]}"
        return STATUS[run.returncode]

    return tried("models", once, lambda said: said not in STATUS.values())


if __name__ == "__main__":
    sys.exit(main() > 0)
