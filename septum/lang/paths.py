"""Paths as a reader wants them."""

from __future__ import annotations

import os


def shown_path(file: str) -> str:
    """A path as a reader wants it: relative to the working directory where it lies below, or to the package's parent."""
    relative = os.path.relpath(file)
    if not relative.startswith(".."):
        return relative
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    relative = os.path.relpath(file, package_parent)
    return file if relative.startswith("..") else relative
