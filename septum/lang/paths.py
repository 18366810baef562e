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


def is_built_in(file: str) -> bool:
    """Whether a path, as `shown_path` gives it, is one of septum's own files."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = (os.path.abspath(os.path.join(directory, file)) for directory in ("", os.path.dirname(package)))
    own = any(place.startswith(package + os.sep) and os.path.isfile(place) for place in places)
    return own or not os.path.exists(file)
