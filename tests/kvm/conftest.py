"""Here hundreds of small scopes are explored once each: most of the time would go into their compilation."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def all_quickly_compiled(quickly_compiled: None) -> None:
    """Every test of this folder."""
