"""Every leaf on an entry in every state, in every op state and in every stage of a TD's life says what the reference says."""

from __future__ import annotations

import pytest

from septum.host.entry import SEPT_FREE
from septum.tdx.bringup import Host, Td, expect
from septum.tdx.leaves import GuestLeaf, Leaf, OpState
from septum.tdx.module import Module
from septum.tdx.processor import GuestEvent
from septum.tdx.status import CODES, Status
from septum.tdx.td import Lifecycle
from tests.tdx import reference as ref

GPA = 1 << 30
FIRST = GPA >> 12  # its GFN


def host(dynamic: bool) -> Host:
    """A module with a GiB of memory."""
    return Host(Module(dynamic_pamt=dynamic, cmrs=((1 << 30, 1 << 30),)), dynamic=dynamic)


class Cell:
    """A TD with an entry in some state."""

    def __init__(self, made: Host, level: int, state: str, build: bool) -> None:
        self.host, self.module, self.level = made, made.module, level
        self.td: Td = made.td(finalized=False)
        self.finalized = False
        self.td.link(GPA, level + 1)
        if not build:
            self.finalize()
        self.page = 0
        self._bring(state, build)

    def finalize(self):
        expect(self.module.seamcall(Leaf.MR_FINALIZE, rcx=self.td.tdr))
        self.finalized = True

    def _bring(self, state: str, build: bool) -> None:
        if state.startswith("NL"):
            self._link_full_or_empty()
        elif state != "FREE":
            self.page = self.td.augment(GPA, self.level)
            if "PENDING" not in state:
                self._accept(build)
        if state in ref.BLOCKED_STATES:
            expect(self.call("MEM_RANGE_BLOCK"))

    def _accept(self, build: bool) -> None:
        """Makes a PENDING leaf MAPPED; a TD that is not finalized borrows the op state in which its guest may run."""
        op_state = self.op_state
        self.op_state = OpState.RUNNABLE
        self.td.accept(GPA, self.level)
        self.op_state = op_state if build else OpState.RUNNABLE

    def _link_full_or_empty(self) -> None:
        self.td.link(GPA, self.level)

    @property
    def op_state(self):
        return self.m_td.build.op_state

    @op_state.setter
    def op_state(self, state):
        self.m_td.build.op_state = state

    @property
    def m_td(self):
        return self.module.m.td[self.module.m.frame[self.td.tdr >> 12].owner]

    def fill(self) -> None:
        """512 accepted pages below the entry, so that it can be promoted."""
        first = self.host.page(size=2 << 20)
        self.host.back(first)
        for offset in range(512):
            expect(self.module.seamcall(Leaf.MEM_PAGE_AUG, rcx=GPA + offset * 4096, rdx=self.td.tdr, r8=first + offset * 4096))
            self.td.own(first + offset * 4096)
        op_state = self.op_state
        self.op_state = OpState.RUNNABLE
        expect(self.module.seamcall(Leaf.VP_ENTER, rcx=self.td.vcpus[0]))
        for offset in range(512):
            expect(self.module.tdcall(self.td.vcpus[0], GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA + offset * 4096))
        self.module.interrupt()
        self.op_state = op_state

    def track(self) -> None:
        expect(self.module.seamcall(Leaf.MEM_TRACK, rcx=self.td.tdr))

    def call(self, leaf: str, **registers: int):
        return self.td.call(Leaf[leaf], GPA, self.level, **registers)

    def word(self) -> int:
        """The entry as the module has it."""
        table = self.m_td.root
        for at in range(3, self.level, -1):
            word = self.module.m.table[table].word[FIRST >> 9 * at & 511]
            table = (word & 0xFFFFFFFFFF000) >> 12
        return self.module.m.table[table].word[FIRST >> 9 * self.level & 511]

    def state(self) -> str:
        """The state that the entry's bits encode, by the reference's encoding."""
        word = self.word()
        bits = 0
        for bit in ref.ENCODING_BITS:
            bits = bits << 1 | word >> bit & 1
        return next(state for state, encoding in ref.ENCODING.items() if encoding == bits)


def operands(cell: Cell, leaf: str) -> dict[str, int]:
    """The registers that a leaf needs beside RCX and RDX."""
    if leaf in ("MEM_SEPT_ADD", "MEM_PAGE_ADD", "MEM_PAGE_RELOCATE"):
        return {"r8": cell.td.own(cell.host.page())}
    if leaf == "MEM_PAGE_AUG":
        return {"r8": cell.td.own(cell.host.page(size=4096 << 9 * cell.level))}
    if leaf == "MEM_PAGE_DEMOTE":
        return {"r8": cell.td.own(cell.host.page()), "r12": cell.host.page(paired=False), "r13": cell.host.page(paired=False)}
    return {}


def cells(table):
    """(leaf, level, state, situation, expected) of every cell."""
    for row, (level, expected) in table.items():
        for state, cell in zip(ref.STATES, expected, strict=True):
            if cell is None:
                continue
            for situation, one in zip(
                ("untracked", "tracked", "build"), cell if isinstance(cell, tuple) else (cell,) * 3, strict=True
            ):
                yield row.split()[0], level, state, situation, one


ALL = list(cells(ref.TABLE))
BUILD = [cell for cell in cells(ref.BUILD_TABLE) if cell[3] == "build"]


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize(("leaf", "level", "state", "situation", "expected"), ALL + BUILD, ids=lambda value: str(value))
def test_a_leaf_on_an_entry(leaf, level, state, situation, expected, dynamic):
    made = host(dynamic)
    cell = Cell(made, level, state, situation == "build")
    if leaf == "MEM_PAGE_PROMOTE" and state.startswith("NL"):
        promote_of(cell, state, situation)
    if situation == "tracked":
        cell.track()
    before = cell.word()
    answer = cell.call(leaf, **operands(cell, leaf))
    if expected in ref.STATES:
        assert answer.name == "TDX_SUCCESS"
        assert cell.state() == expected
    else:
        status = Status[f"TDX_{expected}"]
        assert answer.status == CODES[status] + ref.OPERANDS["RCX"]
        assert cell.word() == before, "a call that failed changed the entry"
        check_extended(answer, expected, state, level, cell)


def promote_of(cell: Cell, state: str, situation: str) -> None:
    """PROMOTE is about a table of 512 equal leaves; a blocked one was full before it was blocked."""
    if state == "NL_BLOCKED":
        cell.track()
        expect(cell.call("MEM_RANGE_UNBLOCK"))
    cell.fill()
    if state == "NL_BLOCKED":
        expect(cell.call("MEM_RANGE_BLOCK"))


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


ACCEPTS = [(0, 0, ref.ACCEPT_4K), (1, 1, ref.ACCEPT_2M), (0, 1, ref.ACCEPT_4K_OF_2M)]


@pytest.mark.parametrize(
    ("asked", "level", "state", "expected"),
    [(asked, level, state, one) for asked, level, table in ACCEPTS for state, one in table.items()],
)
def test_the_guest_accepts(asked, level, state, expected):
    cell = Cell(host(False), level, state, False)
    before = cell.word()
    tdvpr = cell.td.vcpus[0]
    expect(cell.module.seamcall(Leaf.VP_ENTER, rcx=tdvpr))
    answer = cell.module.tdcall(tdvpr, GuestLeaf.MEM_PAGE_ACCEPT, rcx=GPA | asked)
    if expected in ref.STATES:
        assert answer.name == "TDX_SUCCESS"
        assert cell.state() == expected
    elif expected == "EXIT":
        assert (answer.event, answer.exit_reason) == (GuestEvent.EXIT, 48)
        leaf = state not in ("FREE", "NL_MAPPED", "NL_BLOCKED")
        assert answer.rdx == 1 | (asked | level << 3 | ref.REPORTED[state] << 6 | leaf << 14) << 32
        assert answer.rcx & 7 == 2
        assert answer.r8 == GPA
    else:
        status, low = expected
        assert answer.status == CODES[Status[f"TDX_{status}"]] + low
    if expected not in ref.STATES:
        assert cell.word() == before
    if answer.event is not GuestEvent.EXIT:
        cell.module.interrupt()


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
