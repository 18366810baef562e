"""Bad days of a check: killed and resumed, files that may not grow, little memory. The counts are the same, or there are none."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _tally import ROOT, tried

CHECK = ["check", "upstream", "--scenario", "neighbours_enomem", "--reduce", "none", "--json"]


def run(folder: Path, *words: str, limit: Callable[[], None] | None = None, seconds: float | None = None) -> tuple[int, str, str]:
    """Exit status and both streams; killed after so many seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEPTUM_CACHE": str(folder)}
    command = [sys.executable, "-m", "septum", *CHECK, *words]
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit, cwd=folder
    )
    if seconds is not None:
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
    out, err = child.communicate()
    return child.returncode, out, err


def main() -> int:
    folder = Path(tempfile.mkdtemp())
    began = time.monotonic()
    _, out, _ = run(folder)
    took, counts = time.monotonic() - began, numbers(out)

    def verdict(status: int, out: str, err: str) -> str:
        if "Traceback" in err or "defect" in err:
            return f"DEFECT: {err.strip()[-200:]}"
        if status in (0, 1):
            return "the same counts" if status == 0 and numbers(out) == counts else f"WRONG COUNTS: {numbers(out)}"
        return "incomplete" if status == 3 else "bad input" if status == 2 else f"STATUS {status}"

    def killed(chance: random.Random) -> str:
        for _ in range(chance.randint(1, 3)):
            run(folder, "--resume", seconds=chance.uniform(0, took))
        return verdict(*run(folder, "--resume"))

    def files(chance: random.Random) -> str:
        most = int(2 ** chance.uniform(0, 24))
        return verdict(*run(folder, "--resume", limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))))

    def memory(chance: random.Random) -> str:
        most = int(2 ** chance.uniform(24.2, 30))
        return verdict(*run(folder, limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most))))

    def wrong(said: str) -> bool:
        return said[0].isupper()

    return (
        tried("days, killed and resumed", killed, lambda said: said != "the same counts", 0.4)
        + tried("days, files that may not grow", files, wrong, 0.3)
        + tried("days, little memory", memory, wrong, 0.3)
    )


def numbers(out: str) -> tuple[int, int, int]:
    [found] = json.loads(out)["results"]
    return found["states"], found["transitions"], found["depth"]


if __name__ == "__main__":
    sys.exit(main() > 0)
