"""Programs of the language from text: each is written to a file, imported, translated, and may be run in both engines."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from septum.explore.build import Build, build
from septum.lang import Model, Property, Scenario, call

gc.set_threshold(100_000, 20, 20)  # a worker keeps the syntax trees of every model, and each full collection walks them

PRELUDE = """
from septum.lang import Enum
from septum.lang import *

ENTRIES = Size("ENTRIES", 2)
PAGES = Size("PAGES", 6)
Pfn = Index("Pfn", PAGES, none=True, scalarset=True, first=2)
Vcpu = Index("Vcpu", 2)
Entry = Packed("Entry", Pfn, 12, 52)
seen = Witness("seen", "it was seen")

class Color(Enum):
    RED = 0
    GREEN = 1

class Page(Struct):
    WEIGHT = 3

    role: u8
    next: Pfn
    word: Entry[ENTRIES]

class World(Struct):
    page: Page[Pfn]
    per: u16[Vcpu]
    n: u8
    wide: u64
    flag: bool
    color: Color
    small: u8[3]
"""

_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a test whose name differs from process to process: workers that collect other names than another run nothing."""
    if found := [item.nodeid for item in items if is_unstable(item.nodeid)]:
        raise pytest.UsageError(f"a name of a test holds a set or an address, give it ids: {found[0]}")


def is_unstable(name: str) -> bool:
    """Whether a name holds a set of strings, whose order differs from process to process, or an address."""
    return bool(re.search(r"\{'[^']*'[,}]| at 0x[0-9a-f]{4}", name))


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Build]:
    """`program(text, *arguments)`: the model in which one or two threads run the process `p` of the text."""

    def make(text: str, *arguments: int, threads: int = 1, properties: tuple[Property, ...] = ()) -> Build:
        path = tmp_path / f"program_{next(_numbers)}.py"
        path.write_text(PRELUDE + textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        def start(setup: object) -> None:
            for number in range(threads):
                setup.thread(f"T{number}", call(module.p, *arguments))  # type: ignore[attr-defined]

        found = tuple(Property(name, name, check) for name, check in vars(module).items() if name.startswith("property_"))
        model = Model("program", module.World, properties=properties + found)
        return build(model, Scenario("s", "", start))

    return make


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """The C is compiled without optimisation; that it means the same with it is tested in tests/explore and tests/scenarios."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-O0")
        yield
