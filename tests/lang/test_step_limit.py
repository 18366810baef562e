"""A step of the Python engine that does not end is told; one during which the machine stood still is not."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from septum.lang import ModelError, engine


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(engine, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(engine, "STEP_SECONDS", 0.1)


def test_a_step_that_does_not_end_is_told_with_its_place(small):
    with (
        pytest.raises(ModelError, match=r"test_step_limit\.py:\d+: the step does not end within 0\.1 seconds"),
        engine.bounded_time(),
    ):
        for _ in itertools.count():
            pass


def test_a_long_pause_within_a_step_is_one_tick(small):
    with engine.bounded_time():
        hashlib.pbkdf2_hmac("sha256", b"", b"", 500_000)
