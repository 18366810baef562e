"""Random small models, written in the language: pages of a scalarset, two locks, counters, choices, assertions that may fail."""

from __future__ import annotations

import random

PRELUDE = """
from septum.lang import *

THREADS = Size("THREADS", 3)
Pfn = Index("Pfn", 6, none=True, scalarset=True, first=2)
Entry = Packed("Entry", Pfn, 12, 52)

class Page(Struct):
    used: bool
    next: Pfn
    word: Entry

class World(Struct):
    page: Page[Pfn]
    held: Pfn[2]
    lock: u8[2]
    n: u8
    k: u8

def alloc(m) -> Pfn:
    for page in each(Pfn):
        alike("pages that are not used are alike")
        if not m.page[page].used and page != 1:
            m.page[page].used = True
            return page
    return 0

def release(m, page: Pfn):
    assert m.page[page].used, f"custody: page {page} is freed twice"
    m.page[page].used = False
    m.page[page].next = 0
    m.page[page].word = 0

def entry_of(page: Pfn) -> Entry:
    return (u64(page) << 12) | 1

def page_of(word: Entry) -> Pfn:
    return Pfn((word >> 12) & 7)
"""


class Writer:
    """Writes the body of one process from a source of randomness."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.lines, self.names = dice, [], 0

    def body(self) -> list[str]:
        """Between two and six statements, and a yield at the end."""
        self.lines = ["a = u8(0)", "p = Pfn(0)"]
        for _ in range(self.dice.randint(2, 5)):
            self._statement(self.lines, 0)
        return [*self.lines, "yield"]

    def _statement(self, out: list[str], depth: int) -> None:
        kinds = [
            "yield",
            "count",
            "local",
            "page",
            "link",
            "follow",
            "free",
            "lock",
            "choose",
            "assert",
            "assert",
            "hold",
            "swap",
        ]
        kind = self.dice.choice(kinds + (["if", "loop"] if depth < 2 else []))
        getattr(self, f"_{kind}")(out, depth)

    def _yield(self, out: list[str], depth: int) -> None:
        out.append("yield")

    def _count(self, out: list[str], depth: int) -> None:
        field = self.dice.choice("nk")
        out.append(f"m.{field} = u8((m.{field} + {self.dice.randint(1, 2)}) % {self.dice.randint(2, 3)})")

    def _local(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice(["a = m.n", "a = u8((a + 1) % 3)", "a = m.k"]))

    def _page(self, out: list[str], depth: int) -> None:
        out += ["p = alloc(m)", *(["yield"] if self.dice.random() < 0.5 else [])]

    def _link(self, out: list[str], depth: int) -> None:
        out += [
            "if p != 0:",
            f"    m.page[{self.dice.choice(['1', 'p'])}].{self.dice.choice(['next = p', 'word = entry_of(p)'])}",
        ]

    def _follow(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice(["p = m.page[1].next", "p = page_of(m.page[1].word)", "p = m.held[0]", "p = m.held[1]"]))

    def _free(self, out: list[str], depth: int) -> None:
        guard = self.dice.choice(["p != 0", "p != 0 and m.page[p].used"])
        out += [f"if {guard}:", "    release(m, p)", "    p = Pfn(0)"]

    def _hold(self, out: list[str], depth: int) -> None:
        out.append(f"m.held[{self.dice.randint(0, 1)}] = p")

    def _swap(self, out: list[str], depth: int) -> None:
        out += ["q = m.held[0]", *(["yield"] if self.dice.random() < 0.3 else []), "m.held[0] = m.held[1]", "m.held[1] = q"]

    def _lock(self, out: list[str], depth: int) -> None:
        which = self.dice.randint(0, 1)
        out += [f"yield when(lambda: m.lock[{which}] == 0)", f"m.lock[{which}] = 1"]
        for _ in range(self.dice.randint(0, 2)):
            self._statement(out, 2)
        if self.dice.random() < 0.8:
            out.append(f"m.lock[{which}] = 0")

    def _choose(self, out: list[str], depth: int) -> None:
        self.names += 1
        out += [f"x{self.names} = yield choose({self.dice.randint(1, 3)})", f"a = u8(x{self.names})"]

    def _assert(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice([
            'assert m.n != 2 or a == 0, f"asserts: n is {m.n}"', 'assert m.n + m.k < 3, "asserts: too many"',
            'assert p == 0 or m.page[p].used, "custody: a free page is held"', 'assert m.n + a < 3, "asserts: sum"',
            'assert m.held[0] == 0 or m.held[0] != m.held[1], "custody: held twice"', 'assert m.lock[0] == 0, "asserts: locked"',
        ]))  # fmt: skip

    def _if(self, out: list[str], depth: int) -> None:
        condition = self.dice.choice(["m.n == 0", "a == 0", "p != 0", "m.held[0] == m.held[1]", "m.k != m.n"])
        inside: list[str] = []
        for _ in range(self.dice.randint(1, 2)):
            self._statement(inside, depth + 1)
        out += [f"if {condition}:", *("    " + line for line in inside)]

    def _loop(self, out: list[str], depth: int) -> None:
        inside: list[str] = []
        self._statement(inside, depth + 1)
        self.names += 1
        out += [f"for _i{self.names} in range(2):", *("    " + line for line in inside)]


def module(seed: int, count: int, writer: type[Writer] = Writer) -> str:
    """The text of a file with `count` processes p0, p1, ..."""
    dice = random.Random(seed)
    parts = [PRELUDE]
    for number in range(count):
        body = "\n".join("    " + line for line in writer(dice).body())
        parts.append(f"\n@process\ndef p{number}(m: World):\n{body}\n")
    return "".join(parts)
