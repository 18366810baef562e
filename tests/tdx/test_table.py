"""Every leaf on an entry in every state, in every op state and in every stage of a TD's life says what the reference says."""

from __future__ import annotations

import pytest

from septum.host.entry import SEPT_FREE
from septum.tdx.bringup import Host, Td, expect
from septum.tdx.leaves import GuestLeaf, Leaf, OpState
from septum.tdx.module import Geometry, Module
from septum.tdx.processor import GuestEvent
from septum.tdx.status import CODES, Status
from septum.tdx.td import Lifecycle
from tests.tdx import reference as ref

GPA = 1 << 30
TINY = Geometry(entries=4, levels=4, gfns=256, pages=1 << 12, tds=2, vcpus=2, lps=2)  # for entries above 2M, which it fills soon


def host(dynamic: bool, level: int = 0, version: str = "") -> Host:
    """A module at real geometry with a GiB of memory; a tiny one where a leaf above 2M is wanted.

    Without Dynamic PAMT, which it has not, it is 1.5.16, with it 1.5.25.
    """
    version = version or ("1.5.25" if dynamic else "1.5.16")
    if level < 2:
        return Host(Module(dynamic_pamt=dynamic, version=version, cmrs=((1 << 30, 1 << 30),)), dynamic=dynamic)
    return Host(Module(TINY, dynamic_pamt=dynamic, version=version, cmrs=((1 << 16, 60 << 16),)), dynamic=dynamic)


class Cell:
    """A TD with an entry in some state."""

    def __init__(self, made: Host, level: int, state: str, build: bool) -> None:
        self.host, self.module, self.level = made, made.module, level
        self.entries = made.module.geometry.entries
        self.gpa = GPA if self.entries == 512 else 4096 * self.entries**3
        self.td: Td = made.td(finalized=False)
        self.td.link(self.gpa, level + 1)
        self.page = 0
        self._bring(state)
        if not build:
            expect(self.module.seamcall(Leaf.MR_FINALIZE, rcx=self.td.tdr))

    def _bring(self, state: str) -> None:
        if state.startswith("NL"):
            self.td.link(self.gpa, self.level)
        elif state != "FREE":
            self.page = self._leaf("PENDING" not in state)
        if state in ref.BLOCKED_STATES:
            expect(self.call("MEM_RANGE_BLOCK"))

    def _leaf(self, accepted: bool) -> int:
        """A leaf of this level; one above 2M is promoted. Its page."""
        if self.level == 2:
            self.td.link(self.gpa, 2)
            return self.fill(accepted, promoted=True)
        page = self.td.augment(self.gpa, self.level)
        if accepted:
            self._accept([self.gpa | self.level])
        return page

    def fill(self, accepted: bool = True, *, promoted: bool = False) -> int:
        """Pages in a row below the entry, so that it can be promoted; the first of them."""
        size = 4096 * self.entries ** (self.level - 1)
        first = self.host.page(size=size * self.entries)
        if self.level == 1:
            self.host.back(first)
        parts = [self.gpa + offset | self.level - 1 for offset in range(0, size * self.entries, size)]
        for rcx in parts:
            page = self.td.own(first + (rcx & ~7) - self.gpa)
            expect(self.module.seamcall(Leaf.MEM_PAGE_AUG, rcx=rcx, rdx=self.td.tdr, r8=page))
        if accepted:
            self._accept(parts)
        if promoted:
            expect(self.call("MEM_PAGE_PROMOTE"))
        return first

    def _accept(self, entries: list[int]) -> None:
        """Makes PENDING leaves MAPPED; a TD that is not finalized borrows the op state in which its guest may run."""
        op_state = self.op_state
        self.op_state = OpState.RUNNABLE
        expect(self.module.seamcall(Leaf.VP_ENTER, rcx=self.td.vcpus[0]))
        for rcx in entries:
            expect(self.module.tdcall(self.td.vcpus[0], GuestLeaf.MEM_PAGE_ACCEPT, rcx=rcx))
        self.module.interrupt()
        self.op_state = op_state

    @property
    def op_state(self):
        return self.m_td.build.op_state

    @op_state.setter
    def op_state(self, state):
        self.m_td.build.op_state = state

    @property
    def m_td(self):
        return self.module.m.td[self.module.m.frame[self.td.tdr >> 12].owner]

    def track(self) -> None:
        expect(self.module.seamcall(Leaf.MEM_TRACK, rcx=self.td.tdr))

    def call(self, leaf: str, **registers: int):
        level = 0 if leaf == "MR_EXTEND" else self.level
        return self.td.call(Leaf[leaf], self.gpa, level, **registers)

    def word(self, level: int | None = None, offset: int = 0) -> int:
        """The entry as the module has it, or one of its children."""
        level = self.level if level is None else level
        bits, gfn = self.entries.bit_length() - 1, (self.gpa + offset) >> 12
        table = self.m_td.root
        for at in range(self.module.geometry.levels - 1, level, -1):
            table = (self.module.m.table[table].word[gfn >> bits * at & self.entries - 1] & 0xFFFFFFFFFF000) >> 12
        return self.module.m.table[table].word[gfn >> bits * level & self.entries - 1]

    def state(self, level: int | None = None, offset: int = 0) -> str:
        """The state that the entry's bits encode, by the reference's encoding."""
        word = self.word(level, offset)
        bits = 0
        for bit in ref.ENCODING_BITS:
            bits = bits << 1 | word >> bit & 1
        return next(state for state, encoding in ref.ENCODING.items() if encoding == bits)


def operands(cell: Cell, leaf: str) -> dict[str, int]:
    """The registers that a leaf needs beside RCX and RDX."""
    if leaf in ("MEM_SEPT_ADD", "MEM_PAGE_ADD", "MEM_PAGE_RELOCATE"):
        return {"r8": cell.td.own(cell.host.page())}
    if leaf == "MEM_PAGE_AUG":
        return {"r8": cell.td.own(cell.host.page(size=4096 * cell.entries**cell.level))}
    if leaf == "MEM_PAGE_DEMOTE":
        return {"r8": cell.td.own(cell.host.page()), "r12": cell.host.page(paired=False), "r13": cell.host.page(paired=False)}
    return {}


def cells(table):
    """(leaf, level, state, situation, expected) of every cell."""
    for (leaf, levels), expected in table.items():
        for level in levels:
            for state, cell in zip(ref.STATES, expected, strict=True):
                three = cell if isinstance(cell, tuple) else (cell,) * 3
                for situation, one in zip(("untracked", "tracked", "build"), three, strict=True):
                    if one is not None:
                        yield leaf, level, state, situation, one


ALL = list(cells(ref.TABLE))
BUILD = [cell for cell in cells(ref.BUILD_TABLE) if cell[3] == "build"]


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize(("leaf", "level", "state", "situation", "expected"), ALL + BUILD, ids=lambda value: str(value))
def test_a_leaf_on_an_entry(leaf, level, state, situation, expected, dynamic):
    check_cell(leaf, level, state, situation, expected, host(dynamic, level))


@pytest.mark.slow
@pytest.mark.parametrize(("version", "dynamic"), [("1.5.25", False), ("1.5.28", True), ("2.0", False)])
def test_the_versions_do_not_differ_in_the_table(version, dynamic):
    for leaf, level, state, situation, expected in ALL + BUILD:
        check_cell(leaf, level, state, situation, expected, host(dynamic, level, version))


def check_cell(leaf: str, level: int, state: str, situation: str, expected: str, made: Host) -> None:
    """A leaf on an entry of a new TD answers as the table says, and leaves the entry in the state that it says."""
    full = leaf == "MEM_PAGE_PROMOTE" and state.startswith("NL")
    cell = Cell(made, level, "NL_MAPPED" if full else state, situation == "build")
    if full:
        cell.page = cell.fill()
    if full and state == "NL_BLOCKED":
        expect(cell.call("MEM_RANGE_BLOCK"))
    if situation == "tracked":
        cell.track()
    before = cell.word()
    answer = cell.call(leaf, **operands(cell, leaf))
    if expected in ref.STATES:
        assert answer.name == "TDX_SUCCESS"
        assert cell.state() == expected
        check_pages(cell, leaf, state, answer)
    else:
        status = Status[f"TDX_{expected}"]
        assert answer.status == CODES[status] + ref.OPERANDS["RCX"]
        assert cell.word() == before, "a call that failed changed the entry"
        check_extended(answer, expected, state, level, cell)


def check_pages(cell: Cell, leaf: str, state: str, answer) -> None:
    """6.1, 7.6 - 7.9: which page an entry names afterwards, and which comes back."""
    size = 4096 * cell.entries ** (cell.level - 1)
    if leaf == "MEM_PAGE_DEMOTE":
        for i in (0, 1, cell.entries - 1):
            assert cell.state(cell.level - 1, i * size) == ref.CHILDREN[state]
            assert cell.word(cell.level - 1, i * size) & 0xFFFFFFFFFF000 == cell.page + i * size
    elif leaf == "MEM_PAGE_PROMOTE":
        assert cell.word() & 0xFFFFFFFFFF000 == cell.page
    elif leaf in ("MEM_PAGE_REMOVE", "MEM_PAGE_RELOCATE"):
        assert answer.rcx & ~(1 << 62) == cell.page
        assert answer.rdx == 0
    elif leaf == "MEM_SEPT_RD":
        assert answer.rdx == cell.level | ref.REPORTED[state] << 8
        assert answer.rcx == ref.EXTENDED[state] | cell.page


def check_extended(answer, status: str, state: str, level: int, cell: Cell) -> None:
    """5.4: RCX and RDX of a failed call."""
    if status in ref.EXTENDED_STATUSES:
        assert answer.rdx == level | ref.REPORTED[state] << 8
        page = 0 if state in ("FREE", "NL_MAPPED", "NL_BLOCKED") else cell.page
        assert answer.rcx == ref.EXTENDED[state] | page
    else:
        assert (answer.rcx, answer.rdx) == (0, 0)


@pytest.mark.parametrize("state", ref.STATES)
def test_an_entry_is_encoded_bit_by_bit(state):
    cell = Cell(host(False), 1, state, False)
    assert cell.state() == state
    word = cell.word()
    assert word >> 63 == 1
    assert not word & (1 << 11 | 1 << 52), "no lock is left behind"
    if state == "FREE":
        assert word == SEPT_FREE == 0x80E0000000000000
    if state == "MAPPED":
        assert word == 0x80000000000004F7 | cell.page
    if state == "PENDING":
        assert word == 0x81000000000000F0 | cell.page


GUEST = [(*row, state, one) for row, cells in ref.GUEST.items() for state, one in zip(ref.STATES, cells, strict=True) if one]


@pytest.mark.parametrize(("what", "asked", "level", "state", "expected"), GUEST)
def test_the_guest_meets_an_entry(what, asked, level, state, expected):
    cell = Cell(host(False, level), level, state, False)
    before = cell.word()
    tdvpr = cell.td.vcpus[0]
    expect(cell.module.seamcall(Leaf.VP_ENTER, rcx=tdvpr))
    if what == "access":
        answer = cell.module.access(tdvpr, cell.gpa, write=True)
    else:
        answer = cell.module.tdcall(tdvpr, GuestLeaf[f"MEM_PAGE_{what}"], rcx=cell.gpa | asked)
    if expected in ref.STATES:
        assert answer.name == "TDX_SUCCESS"
        assert cell.state() == expected
    else:
        assert cell.word() == before
    if expected == "EXIT":
        check_exit(cell, what, asked, level, state, answer)
    elif expected == "VE":
        assert answer.event is GuestEvent.VE
    elif expected == "OK":
        assert (answer.status, answer.event) == (0, GuestEvent.DONE)
        pending = (state == "PENDING") << 62
        where = {"access": cell.page, "ATTR_RD": cell.gpa | level | pending, "ATTR_WR": cell.gpa | asked | pending}
        assert answer.rcx == where[what]
    elif isinstance(expected, tuple):
        status, low = expected
        assert answer.status == CODES[Status[f"TDX_{status}"]] + low


def check_exit(cell: Cell, what: str, asked: int, level: int, state: str, answer) -> None:
    """9.2: the registers of a TD exit for an EPT violation, which ended a write here."""
    assert (answer.event, answer.exit_reason, answer.status) == (GuestEvent.EXIT, 48, 0)
    leaf = state not in ("FREE", "NL_MAPPED", "NL_BLOCKED")
    info = asked | level << 3 | ref.REPORTED[state] << 6 | leaf << 14
    assert answer.rdx == (ref.EXIT_TYPES[what] | info << 32 if what in ref.EXIT_TYPES else 0)
    assert answer.rcx == (2 | (cell.word() & 7) << 3 if what != "ATTR_RD" else 0)
    assert answer.r8 == cell.gpa


@pytest.mark.parametrize("leaf", ref.OP_STATES)
def test_a_leaf_is_legal_in_the_op_states_of_the_reference(leaf):
    for state in OpState:
        cell = Cell(host(False), 0 if leaf not in ref.LEVELS else ref.LEVELS[leaf][0], "FREE", True)
        cell.op_state = state
        answer = life_call(cell, leaf)
        legal = state in ref.OP_STATES[leaf]
        assert (answer.code != Status.TDX_OP_STATE_INCORRECT) == legal, (leaf, state, answer.name)
        if not legal:
            assert answer.low == state


def vcpu_call(cell, leaf):
    tdvpr = cell.td.vcpus[0]
    if leaf == "VP_CREATE":
        return cell.module.seamcall(Leaf.VP_CREATE, rcx=cell.td.own(cell.host.page()), rdx=cell.td.tdr)
    if leaf == "VP_ADDCX":
        return cell.module.seamcall(Leaf.VP_ADDCX, rcx=cell.host.page(), rdx=tdvpr)
    return cell.module.seamcall(Leaf[leaf], rcx=tdvpr)


@pytest.mark.parametrize("state", OpState, ids=lambda state: state.name)
def test_tracking_is_required_in_the_op_states_of_the_reference(state):
    cell = Cell(host(False), 0, "BLOCKED", False)
    cell.op_state = state
    answer = cell.call("MEM_RANGE_UNBLOCK")
    if state in ref.OP_STATES["MEM_RANGE_UNBLOCK"]:
        assert (answer.code == Status.TDX_TLB_TRACKING_NOT_DONE) == (state in ref.TRACKING_REQUIRED)


@pytest.mark.parametrize("leaf", ref.LIFECYCLE_TABLE)
@pytest.mark.parametrize("stage", ref.LIFECYCLE)
def test_a_leaf_is_legal_in_the_stages_of_a_life_that_the_reference_says(leaf, stage):
    cell = Cell(host(False), 0 if leaf not in ref.LEVELS else ref.LEVELS[leaf][0], "FREE", True)
    if leaf in ("MNG_VPFLUSHDONE", "MNG_KEY_CONFIG"):
        expect(cell.module.seamcall(Leaf.VP_FLUSH, rcx=cell.td.vcpus[0]))
    if leaf == "MNG_KEY_CONFIG":
        cell.m_td.build.packages = 0
    kot = cell.module.m.kot[cell.td.hkid]
    cell.m_td.lifecycle = Lifecycle[stage]
    answer = life_call(cell, leaf)
    kot.dirty = 0
    expected = ref.LIFECYCLE_TABLE[leaf][ref.LIFECYCLE.index(stage)]
    statuses = {Status.TDX_TD_KEYS_NOT_CONFIGURED, Status.TDX_LIFECYCLE_STATE_INCORRECT}
    if expected == "OK":
        assert answer.code not in statuses, answer.name
    else:
        assert answer.status == CODES[Status[f"TDX_{expected}"]]


DEAD = sorted(set(ref.ALIVE) - set(ref.NOT_FATAL))


@pytest.mark.parametrize("leaf", [*DEAD, "MNG_KEY_CONFIG"])
def test_a_dead_td_is_fatal_before_anything_else_is_asked(leaf):
    cell = Cell(host(False), 0 if leaf not in ref.LEVELS else ref.LEVELS[leaf][0], "FREE", True)
    cell.m_td.build.fatal = True
    cell.m_td.lifecycle = Lifecycle.BLOCKED
    assert life_call(cell, leaf).status == CODES[Status.TDX_TD_FATAL]


@pytest.mark.parametrize("leaf", sorted(set(ref.ALIVE) - set(ref.WITHOUT_TDCS)))
def test_a_td_without_its_tdcs_pages_has_no_op_state(leaf):
    cell = Cell(host(False), 0 if leaf not in ref.LEVELS else ref.LEVELS[leaf][0], "FREE", True)
    cell.m_td.build.num_tdcx -= 1
    cell.op_state = OpState.START_IMPORT
    assert life_call(cell, leaf).status == CODES[Status.TDX_TDCS_NOT_ALLOCATED]


OF_THE_OP_STATE = sorted(set(ref.OP_STATES) - {"VP_FLUSH", "MNG_ADDCX", "MNG_INIT", "MEM_PAGE_ADD", "MR_EXTEND", "MR_FINALIZE"})


@pytest.mark.parametrize("leaf", OF_THE_OP_STATE)
def test_a_leaf_that_shares_the_tdr_shares_the_op_state(leaf):
    cell = Cell(host(False), 0 if leaf not in ref.LEVELS else ref.LEVELS[leaf][0], "FREE", True)
    cell.m_td.build.op_lock.exclusive = True
    assert life_call(cell, leaf).status == CODES[Status.TDX_OPERAND_BUSY] + ref.OPERANDS["OP_STATE"]
    cell.m_td.build.op_lock.exclusive = False
    life_call(cell, leaf)
    assert not cell.m_td.build.op_lock.readers


def life_call(cell, leaf):
    module, tdr = cell.module, cell.td.tdr
    if leaf.startswith("VP"):
        return vcpu_call(cell, leaf)
    if leaf == "MNG_ADDCX":
        return module.seamcall(Leaf.MNG_ADDCX, rcx=cell.host.page(), rdx=tdr)
    if leaf == "PHYMEM_PAGE_RECLAIM":
        return module.seamcall(Leaf.PHYMEM_PAGE_RECLAIM, rcx=cell.td.pages[-1])
    if leaf in ("MNG_INIT", "MR_FINALIZE", "MEM_TRACK", "MNG_KEY_CONFIG", "MNG_VPFLUSHDONE", "MNG_KEY_FREEID"):
        return module.seamcall(Leaf[leaf], rcx=tdr)
    return cell.call(leaf, **operands(cell, leaf))


@pytest.mark.parametrize("leaf", ref.LEVELS)
def test_a_leaf_takes_the_levels_of_the_reference(leaf):
    cell = Cell(host(False), 0, "FREE", True)
    least, most = ref.LEVELS[leaf]
    for level in range(8):
        answer = cell.module.seamcall(Leaf[leaf], rcx=(1 << 39) | level, rdx=cell.td.tdr, r8=cell.host.page())
        legal = least <= level <= (3 if most == "root" else most)
        assert (answer.code != Status.TDX_OPERAND_INVALID) == legal, (level, answer.name)


def test_leaf_numbers_are_those_of_the_reference():
    for leaf, number in ref.LEAF_NUMBERS.items():
        assert Leaf[leaf] == number
