"""Texts that are pinned: compared with a file beside this one, or written with SEPTUM_GOLDEN=write."""

from __future__ import annotations

import os
from pathlib import Path


def pinned(name: str, text: str) -> None:
    """Asserts that `text` is what the golden file says."""
    file = Path(__file__).parent / "golden" / name
    if os.environ.get("SEPTUM_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
