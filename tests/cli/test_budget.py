"""--budget."""

from __future__ import annotations

import pytest

from septum.cli.budget import limits
from septum.lang.errors import UserError


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], {}),
        (["60s"], {"seconds": 60}),
        (["5m"], {"seconds": 300}),
        (["1.5h"], {"seconds": 5400}),
        (["0.5s"], {"seconds": 0.5}),
        (["4GiB"], {"bytes": 4 << 30}),
        (["512MiB"], {"bytes": 512 << 20}),
        (["10M"], {"states": 10_000_000}),
        (["200k"], {"states": 200_000}),
        (["1234"], {"states": 1234}),
        (["60s, 4GiB", "10M"], {"seconds": 60, "bytes": 4 << 30, "states": 10_000_000}),
    ],
)
def test_limits(texts: list[str], found: dict[str, float]) -> None:
    assert limits(texts) == found


@pytest.mark.parametrize("text", ["", "s", "10 apples", "4G", "4GB", "-1s", "1e6", "60s,", "nan", "infs", "٣s"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match=r"write a duration \(60s, 5m\)"):
        limits([text])


@pytest.mark.parametrize("text", ["0s", "0", "0MiB", "0.2"])
def test_no_budget_at_all_is_none(text: str) -> None:
    with pytest.raises(UserError, match="needs more than that"):
        limits([text])


def test_a_kind_is_given_once() -> None:
    with pytest.raises(UserError, match="a limit of seconds was given already"):
        limits(["60s", "5m"])
