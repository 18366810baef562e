"""A model of one's own that fails, whose names and texts are markup; a browser, where there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import septum
from septum.check.loading import load
from septum.check.result import Result
from septum.lang import Model

MARKUP = "<b title='&amp;'>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

POOL = f'''
"""A pool without a lock {MARKUP}"""
from septum.lang import Model, Property, Scenario, Struct, Witness, boolean, call, process, reached, u8, when
from septum.host.locks import SpinLock

emptied = Witness("emptied", "a CPU takes the last page")

class World(Struct):
    nobjs: u8
    taken: boolean[2]
    lock: SpinLock

@process
def take(m: World):
    n = m.nobjs
    yield  # </script><script>document.title = "injected"</script>
    m.nobjs = u8(n - 1)
    assert not m.taken[n - 1], f"custody: page {{n - 1}} {MARKUP}is</b> taken twice </script>"
    m.taken[n - 1] = True
    if m.nobjs == 0:
        reached(emptied)

def start(setup):
    setup.m.nobjs = 2
    for cpu in range(2):
        setup.thread(f"CPU {{cpu}} {MARKUP}", call(take))

custody = Property("custody", "a page is taken once")
model = Model("pool", World, (Scenario("two_takers", "Two CPUs take a page", start, (emptied,)),), (custody,))
'''


BUFFERED = """
from septum.lang import Model, Property, Scenario, Struct, boolean, call, process, u8

class World(Struct):
    wants: boolean[2]
    saw: boolean[2]
    done: boolean[2]

@process
def enter(m: World, me: u8):
    m.wants[me] = True
    yield
    m.saw[me] = m.wants[1 - me]
    m.done[me] = True

def start(setup):
    for cpu in range(2):
        setup.thread(f"CPU {cpu}", call(enter, cpu))

def someone(m):
    assert not (m.done[0] and m.done[1]) or m.saw[0] or m.saw[1], "order: neither saw the other"

model = Model("sb", World, (Scenario("both", "Both want", start),), (Property("order", "one sees the other", someone),))
"""


@pytest.fixture
def buffered(tmp_path: Path) -> Result:
    """What x86-tso does to two CPUs of which each says that it wants, and looks at the other."""
    path = tmp_path / "sb.py"
    path.write_text(BUFFERED)
    return replace(septum.check(str(path), "both", engine="python", memory="x86-tso", races=False), design=str(path))


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the model."""
    path = tmp_path_factory.mktemp("pool") / "pool.py"
    path.write_text(POOL)
    return path


@pytest.fixture(scope="session")
def pool_model(pool: Path) -> Model:
    return load(str(pool))


@pytest.fixture(scope="session")
def found(pool: Path, pool_model: Model) -> Result:
    """What the model does wrong."""
    return replace(septum.check(pool_model, "two_takers", engine="python"), design=str(pool))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium that is on this machine; none is downloaded."""
    at = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if at is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on this machine, and CHROMIUM names none")
    playwright = pytest.importorskip("playwright.sync_api", reason="no browser: playwright is not installed")
    with playwright.sync_playwright() as running:
        one = running.chromium.launch(executable_path=at, args=list(FLAGS))
        yield one
        one.close()
