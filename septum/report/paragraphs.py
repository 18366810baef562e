"""Text of a report, broken into lines."""

from __future__ import annotations

import textwrap


def wrapped(text: str, width: int) -> str:
    """A paragraph in lines of at most `width`, all but the first set in; words are never broken."""
    return textwrap.fill(text, width, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
