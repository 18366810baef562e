"""Here hundreds of small scopes are explored once each: most of the time would go into their compilation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled() -> Iterator[None]:
    """The C is compiled without optimisation; that it means the same with it is tested in tests/explore and tests/scenarios."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-O0")
        yield
