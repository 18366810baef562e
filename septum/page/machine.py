"""A state of KVM's machine as a picture: both trees beside each other, who holds each page, 2M ranges with their pairs.

What is the same in both trees, and what is not, is said as the property agreement says it (septum/properties/agreement.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from septum.host.entry import FROZEN_SPTE, POISON, describe
from septum.host.frames import PageType, Role
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, GFNS, LEVELS, PAGES, RANGES, VMS, pages_per_leaf
from septum.host.ranges import in_use, range_of
from septum.kvm.tdp.direct import DIRECT, ROOTS
from septum.kvm.tdp.spte import is_last_spte, is_shadow_present_pte, spte_to_pfn
from septum.page.fields import Fields
from septum.tdx.sept import SeptState, is_sept_leaf, sept_page, sept_state

USABLE = (SeptState.MAPPED, SeptState.PENDING)
LINKS = (SeptState.NL_MAPPED, SeptState.NL_BLOCKED)


class Look(StrEnum):
    """What an entry is at a glance."""

    ABSENT = "absent"
    TABLE = "table"
    LEAF = "leaf"
    PENDING = "pending"
    BLOCKED = "blocked"
    FROZEN = "frozen"
    WRONG = "wrong"


@dataclass(frozen=True)
class Word:
    """An entry of a table: its place, its value in words, and its look."""

    place: str
    text: str
    look: Look


@dataclass(frozen=True)
class Row:
    """The entries of one GFN at one level, in one tree or in both; `unlike` says what is not the same."""

    level: int
    index: int
    gfn: int
    words: tuple[Word | None, ...]
    unlike: str


@dataclass(frozen=True)
class Tree:
    """The page tables of a VM from the root down: the mirror and the Secure EPT beside each other, or a direct tree alone."""

    title: str
    sides: tuple[str, ...]
    levels: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Frame:
    """A page that somebody holds or names: its role, what the TDX module says of it, its 2M range, and which places name it."""

    number: int
    role: str
    type: str
    owner: int
    range: int
    refcount: int
    named: tuple[str, ...]
    wrong: str


@dataclass(frozen=True)
class RangeRow:
    """A 2M range: its pages, the pair, the module's count of pages in use and the host's, who holds the module's lock."""

    number: int
    pages: tuple[int, ...]
    pair: str
    pair_pages: tuple[int, ...]
    count: int
    refcount: int
    lock: str
    design: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pool:
    """Pages that wait: which, in how many slots, and what they hold."""

    place: str
    count: int
    slots: tuple[int, ...]
    content: str


class Picture:
    """Draws states of one build; its scope must be active."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def trees(self, m: Any) -> Iterator[Tree]:
        """Of every VM that has any."""
        for vm in range(1, int(VMS) + 1):
            mirror, external = int(m.vm[vm].mirror_root), int(m.td[vm].root)
            if mirror or external:
                rows = tuple(_mirrored(m, mirror, external, int(LEVELS), 0))
                yield Tree(f"VM {vm}", ("mirror", "Secure EPT"), int(LEVELS), rows)
            for root in self._direct_roots(m, vm):
                state = ", invalid" if m.sp[root].direct.invalid else ""
                rows = tuple(_direct(m, root, int(LEVELS), 0))
                yield Tree(f"VM {vm}, direct root {root}{state}", ("direct",), int(LEVELS), rows)

    def _direct_roots(self, m: Any, vm: int) -> Iterator[int]:
        if DIRECT:
            for slot in range(int(ROOTS)):
                root = int(m.vm[vm].direct.roots[slot])
                if root and not m.sp[root].direct.is_mirror:
                    yield root

    def frames(self, m: Any, world: bytes, local: dict[int, str]) -> Iterator[Frame]:
        """All pages but those that are free and that nobody names; `local` has which local of a thread names one."""
        named: dict[int, list[str]] = {}
        for one in self.fields.naming:
            page = one.page(world)
            if page:
                named.setdefault(page, []).append(one.path)
        for page in range(1, int(PAGES)):
            frame = m.frame[page]
            holders = [*([local[page]] if page in local and frame.role == Role.HAND else []), *named.get(page, [])]
            if frame.role != Role.FREE or holders or frame.type != PageType.NDA:
                yield Frame(
                    page, str(frame.role), "" if frame.type == PageType.NDA else str(frame.type), int(frame.owner),
                    int(range_of(m, page)), int(frame.refcount), tuple(holders), _wrong(frame, named.get(page, [])),
                )  # fmt: skip

    def free(self, m: Any) -> int:
        """How many pages are free."""
        return sum(m.frame[page].role == Role.FREE for page in range(1, int(PAGES)))

    def ranges(self, m: Any, world: bytes) -> Iterator[RangeRow]:
        """The 2M ranges of which anything is known."""
        inside: dict[int, list[int]] = {}
        for page in range(1, int(PAGES)):
            if m.frame[page].role != Role.FREE:
                inside.setdefault(int(range_of(m, page)), []).append(page)
        for r in range(1, int(RANGES)):
            if in_use(m, r):
                pamt, prefix = m.pamt[r], f"range[{r}].design."
                own = [
                    (one.path.removeprefix(prefix), one.shown(world)) for one in self.fields.all if one.path.startswith(prefix)
                ]
                pair = tuple(int(page) for page in (pamt.page0, pamt.page1) if page) if DYNAMIC_PAMT else ()
                yield RangeRow(
                    r, tuple(inside.get(r, [])), str(pamt.type) if pamt.type != PageType.NDA else "", pair,
                    int(pamt.count), int(m.range[r].refcount), held(int(pamt.lock.readers), bool(pamt.lock.exclusive)),
                    tuple(own),
                )  # fmt: skip

    def pools(self, world: bytes) -> Iterator[Pool]:
        """Every pool, also one that is empty."""
        for one in self.fields.pools:
            count = one.count.value(world)
            slots = tuple(slot.value(world) for slot in one.slots)
            yield Pool(one.path, count, slots, one.content.shown(world) if one.content else "")


def held(readers: int, exclusive: bool) -> str:
    """Who holds a lock of the module, which does not know them by name."""
    if exclusive:
        return "exclusive"
    return f"shared by {readers}" if readers else ""


def _wrong(frame: Any, named: list[str]) -> str:
    """What can be seen to be wrong with a page."""
    if frame.role == Role.FREE and frame.type != PageType.NDA:
        return "free, and the module has it"
    return "free, and named" if frame.role == Role.FREE and named else ""


def _mirrored(m: Any, mirror: int, external: int, level: int, base: int) -> Iterator[Row]:
    for i in range(int(ENTRIES)):
        gfn = base + i * int(pages_per_leaf(level))
        if gfn >= int(GFNS):
            return
        spte = int(m.table[mirror].word[i]) if mirror else None
        sept = int(m.table[external].word[i]) if external else None
        words = (
            None if spte is None else Word(f"table[{mirror}].word[{i}]", describe(spte), _spte_look(spte, level)),
            None if sept is None else Word(f"table[{external}].word[{i}]", describe(sept), _sept_look(sept)),
        )
        yield Row(level, i, gfn, words, "" if spte is None or sept is None else _unlike(m, spte, sept, level))
        children = _child(spte, level), _sept_child(sept)
        if any(children) and level > 1:
            yield from _mirrored(m, *children, level - 1, gfn)


def _direct(m: Any, table: int, level: int, base: int) -> Iterator[Row]:
    for i in range(int(ENTRIES)):
        gfn, spte = base + i * int(pages_per_leaf(level)), int(m.table[table].word[i])
        yield Row(level, i, gfn, (Word(f"table[{table}].word[{i}]", describe(spte), _spte_look(spte, level)),), "")
        child = _child(spte, level)
        if child and level > 1:
            yield from _direct(m, child, level - 1, gfn)


def _child(spte: int | None, level: int) -> int:
    """The table that an SPTE links, or 0."""
    if spte is None or not is_shadow_present_pte(spte) or is_last_spte(spte, level):
        return 0
    return _known(int(spte_to_pfn(spte)))


def _sept_child(sept: int | None) -> int:
    return _known(int(sept_page(sept))) if sept is not None and not is_sept_leaf(sept) and sept_state(sept) in LINKS else 0


def _known(page: int) -> int:
    return page if 0 < page < int(PAGES) else 0


def _spte_look(spte: int, level: int) -> Look:
    if spte == FROZEN_SPTE:
        return Look.FROZEN
    if spte in (0, POISON):
        return Look.WRONG
    if not is_shadow_present_pte(spte):
        return Look.ABSENT
    return Look.LEAF if is_last_spte(spte, level) else Look.TABLE


def _sept_look(sept: int) -> Look:
    if sept in (0, POISON):
        return Look.WRONG
    state = sept_state(sept)
    if state in (SeptState.NL_BLOCKED, SeptState.BLOCKED, SeptState.PENDING_BLOCKED):
        return Look.BLOCKED
    return {SeptState.FREE: Look.ABSENT, SeptState.NL_MAPPED: Look.TABLE, SeptState.PENDING: Look.PENDING}.get(state, Look.LEAF)


def _unlike(m: Any, spte: int, sept: int, level: int) -> str:
    if spte == FROZEN_SPTE:
        return ""
    if not is_shadow_present_pte(spte):
        return "" if sept_state(sept) == SeptState.FREE else "only the Secure EPT has it"
    if sept_state(sept) == SeptState.FREE:
        return "only the mirror has it"
    if is_last_spte(spte, level):
        if not is_sept_leaf(sept):
            return "a leaf here, a table there"
        if sept_page(sept) != spte_to_pfn(spte):
            return "another page"
        return "" if sept_state(sept) in USABLE else "blocked there"
    if is_sept_leaf(sept):
        return "a table here, a leaf there"
    if _known(int(spte_to_pfn(spte))) and sept_page(sept) != m.sp[spte_to_pfn(spte)].external_spt:
        return "another table"
    return "" if sept_state(sept) == SeptState.NL_MAPPED else "blocked there"
