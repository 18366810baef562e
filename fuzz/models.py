"""Models whose text was changed, a token of Python at a time: a verdict, or one clear message; never a defect of septum."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from _tally import ROOT, tried

from tests.fuzz.models import changed, sources

STATUS = {0: "hold", 1: "are violated or vacuous", 2: "bad input", 3: "incomplete"}


def main() -> int:
    folder, texts = Path(tempfile.mkdtemp()), sources()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def once(chance: random.Random) -> str:
        text = changed(chance.choice(texts), chance)
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
