"""Random small models, written in the language: pages of a scalarset, threads and vCPUs that may be alike, two locks, counters,
choices, assertions that may fail."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

from septum.check.loading import _imported
from septum.lang import Model, Property, Scenario, Setup, call

WITNESSES = 16

PRELUDE = (
    f"""
from septum.lang import *

{"".join(f'w{n} = Witness("w{n}", "")' + chr(10) for n in range(WITNESSES))}"""
    + """
THREADS = Size("THREADS", 3)
Pfn = Index("Pfn", 6, none=True, scalarset=True, first=2)
Cpu = Index("Cpu", THREADS)
Cpus = SetOf(Cpu)
Vcpu = Index("Vcpu", THREADS + 1, none=True)
Entry = Packed("Entry", Pfn, 12, 52)

class Page(Struct):
    used: bool
    next: Pfn
    word: Entry

class VcpuState(Struct):
    page: Pfn
    n: u8

class World(Struct):
    page: Page[Pfn]
    vcpu: VcpuState[Vcpu]
    own: u8[Cpu]
    team: Cpus
    chief: Vcpu
    held: Pfn[2]
    lock: u8[2]
    n: u8
    k: u8

def me():
    return Cpu(current())

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
)


KINDS = [
    "count", "count", "stale", "local", "page", "link", "follow", "free", "lock", "choose", "assert", "hold", "swap", "named",
    "reach", "reach", "reach", "own", "team", "chief", "keep", "peers", "peers", "peers", "number",
]  # fmt: skip


class Writer:
    """Writes the body of one process from a source of randomness."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.lines, self.names = dice, [], 0

    def body(self) -> list[str]:
        """Some statements, with a yield after every other one, and one at the end."""
        self.lines = ["a = u8(0)", "p = Pfn(0)"]
        for _ in range(self.dice.randint(3, 6)):
            self._statement(self.lines, 0)
            if self.dice.randint(0, 1):
                self.lines.append("yield")
        return [*self.lines, "yield"]

    def _statement(self, out: list[str], depth: int) -> None:
        kind = self.dice.choice(KINDS + (["if", "loop"] if depth < 2 else []))
        getattr(self, f"_{kind}")(out, depth)

    def _stale(self, out: list[str], depth: int) -> None:
        """A count that another thread may make in vain."""
        out += ["a = m.n", "yield", "m.n = u8((a + 1) % 3)"]

    def _count(self, out: list[str], depth: int) -> None:
        field = self.dice.choice("nk")
        out.append(f"m.{field} = u8((m.{field} + {self.dice.randint(1, 2)}) % {self.dice.randint(2, 3)})")

    def _local(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice(["a = m.n", "a = u8((a + 1) % 3)", "a = m.k"]))

    def _page(self, out: list[str], depth: int) -> None:
        out += ["p = alloc(m)", *(["yield"] if self.dice.random() < 0.5 else [])]
        if self.dice.randint(0, 1):
            self._hold(out, depth)

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

    def _named(self, out: list[str], depth: int) -> None:
        out.append("p = Pfn(1)")

    def _reach(self, out: list[str], depth: int) -> None:
        """An event that depends on what another thread did, and on when."""
        condition = self.dice.choice([
            "m.n == a", "m.n == 1 and m.k == 1", "m.k == 2 or a == 2", "m.held[0] == p", "m.held[0] == 1",
            "m.held[1] == 1 and p != 1", "p != 0 and not m.page[p].used", "m.page[1].next == p",
            "current() == 1 and m.n == 1", "v == 1 and m.n == 2", "m.chief == 1", "m.own[0] == 1 and m.own[1] == 0",
            "m.chief == v", "m.team & only(me()) != 0", "m.own[me()] == 2", "m.chief != 0 and m.vcpu[m.chief].page == p",
            "m.page[1].next == m.held[0]", "m.lock[0] == 1 and m.n == 1", "m.n != m.k and m.lock[1] == 0",
        ])  # fmt: skip
        out += [f"if {condition}:", f"    reached(w{self.dice.randint(0, WITNESSES - 1)})"]

    def _own(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice(["m.own[me()] = u8((m.own[me()] + 1) % 3)", "m.vcpu[v].n = u8((m.vcpu[v].n + 1) % 2)"]))

    def _team(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice(["m.team ^= only(me())", "m.team |= only(me())", "m.team = only(me())"]))

    def _chief(self, out: list[str], depth: int) -> None:
        out += self.dice.choice([["m.chief = v"], ["m.chief = 0"], ["if m.chief == 0:", "    m.chief = v"]])

    def _keep(self, out: list[str], depth: int) -> None:
        out.append(self.dice.choice(["m.vcpu[v].page = p", "p = m.vcpu[v].page", "p = m.vcpu[m.chief].page"]))

    def _peers(self, out: list[str], depth: int) -> None:
        """All threads or vCPUs in turn; some of these loops have an order that matters."""
        self.names += 1
        name = f"c{self.names}"
        alone = ["if m.chief == v and m.n == 1:", f"    reached(w{self.dice.randint(0, WITNESSES - 1)})"]
        out += self.dice.choice([
            [f"for {name} in each(Cpu):", f"    if m.own[{name}] == 1:", "        a = 1"],
            [f"for {name} in each(Cpu):", f"    if m.team & only({name}) != 0:", f"        m.own[{name}] = 2"],
            [f"for {name} in each(Vcpu):", f"    if m.vcpu[{name}].n == 1:", f"        m.chief = {name}"],
            ["m.n = u8((m.n + 1) % 3)", "yield", f"for {name} in each(Vcpu):", "    if m.chief == 0:",
             f"        m.chief = {name}", *alone],
            [f"for {name} in each(Vcpu):", f"    p = m.vcpu[{name}].page"],
        ])  # fmt: skip

    def _number(self, out: list[str], depth: int) -> None:
        """What tells threads or vCPUs apart."""
        out.append(self.dice.choice(["a = u8(current() % 3)", "a = u8(v % 3)", "m.n = u8(me() % 2)", "m.k = u8(u8(m.team) % 3)"]))

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


class Endless(Writer):
    """Writes a process that has no end, more often than not; a round of it may choose, more than once."""

    def body(self) -> list[str]:
        lines = super().body()
        if self.dice.random() < 0.4:
            return lines
        choices: list[str] = []
        for _ in range(self.dice.randint(0, 2)):
            self._choose(choices, 0)
        first = self.dice.randint(0, len(choices) // 2) * 2
        turn = [*choices[:first], *lines, *choices[first:], "yield"]
        return ["yield", "while True:", *("    " + line for line in turn)]


def module(dice: random.Random, count: int, writer: type[Writer] = Writer) -> str:
    """The text of a file with `count` processes p0, p1, ..."""
    parts = [PRELUDE]
    for number in range(count):
        body = "\n".join("    " + line for line in writer(dice).body())
        parts.append(f"\n@process\ndef p{number}(m: World, v: Vcpu):\n{body}\n")
    return "".join(parts)


def model(text: str, path: Path, programs: Sequence[Sequence[int]]) -> Model:
    """A file with this text as a Model. Each scenario runs some of its processes, so that one compilation serves them all."""
    file = path / f"random_{hashlib.sha256(text.encode()).hexdigest()[:12]}.py"
    file.write_text(text)
    found = _imported(file)

    def start(setup: Setup, numbers: Sequence[int]) -> None:
        for thread, number in enumerate(numbers):
            setup.thread(f"T{thread}", call(getattr(found, f"p{number}"), thread + 1))

    scenarios = [
        Scenario("_".join(f"p{number}" for number in numbers), "", lambda setup, numbers=numbers: start(setup, numbers))
        for numbers in programs
    ]
    return Model(file.stem, found.World, tuple(scenarios), (Property("custody", "a page has one holder"),))
