"""SYS.CONFIG takes what Linux makes of a memory map, and refuses what the reference says, with the number of the TDMR; 2.1."""

from __future__ import annotations

import struct

import pytest

from septum.host.tdmrs import GIB, construct_tdmrs
from septum.lang import UserError
from septum.tdx import Host, Leaf, Module
from septum.tdx.bringup import tdmr_info
from septum.tdx.status import CODES, Status
from tests.tdx import reference as ref

MIB = 1 << 20
MEMORY = ((GIB, 2 * GIB), (4 * GIB, 2 * GIB))


def configure(*infos: list[int], dynamic: bool = False, **registers: int):
    """SYS.CONFIG of a module with two CMRs; the words of each TDMR_INFO."""
    module = Module(dynamic_pamt=dynamic, cmrs=MEMORY)
    module.seamcall(Leaf.SYS_INIT)
    module.memory[0x1000] = struct.pack(f"<{len(infos)}Q", *(0x2000 + 0x1000 * n for n in range(len(infos))))
    for number, words in enumerate(infos):
        module.memory[0x2000 + 0x1000 * number] = struct.pack(f"<{len(words)}Q", *words)
    return module.seamcall(Leaf.SYS_CONFIG, **{"rcx": 0x1000, "rdx": len(infos), "r8": 32, **registers}).status


def info(base=GIB, size=GIB, pamt=2 * GIB, reserved=()):
    """A TDMR_INFO: PAMTs at 1G, 2M and 4K one after another; reserved areas as offset and size."""
    return [base, size, pamt, 4096, pamt + 4096, 8192, pamt + 12288, 4 * MIB, *[word for area in reserved for word in area]]


@pytest.mark.parametrize(("infos", "status", "low"), [
    ([info()], "SUCCESS", 0),
    ([info(size=0)], "INVALID_TDMR", 0),
    ([info(base=GIB + MIB)], "INVALID_TDMR", 0),
    ([info(size=GIB + MIB)], "INVALID_TDMR", 0),
    ([info(base=1 << 40)], "INVALID_TDMR", 0),
    ([info(base=(1 << 64) - GIB, size=2 * GIB)], "INVALID_TDMR", 0),
    ([info(), info()], "NON_ORDERED_TDMR", 1),
    ([info(base=4 * GIB), info(pamt=2 * GIB + 8 * MIB)], "NON_ORDERED_TDMR", 1),
    ([info(reserved=[(4 * MIB, MIB), (0, MIB)])], "NON_ORDERED_RESERVED_IN_TDMR", 1 << 8),
    ([info(reserved=[(0, 0), (0, MIB)])], "NON_ORDERED_RESERVED_IN_TDMR", 1 << 8),
    ([info(reserved=[(100, MIB)])], "INVALID_RESERVED_IN_TDMR", 0),
    ([info(reserved=[(GIB, MIB)])], "INVALID_RESERVED_IN_TDMR", 0),
    ([info(pamt=2 * GIB + 1)], "INVALID_PAMT", 0),
    ([[*info()[:7], 2 * MIB]], "INVALID_PAMT", 2 << 8),
    ([info(pamt=GIB)], "PAMT_OVERLAP", 0),
    ([info(pamt=GIB, reserved=[(0, 8 * MIB)])], "SUCCESS", 0),
    ([info(), info(base=4 * GIB)], "PAMT_OVERLAP", 1),
    ([info(pamt=3 * GIB)], "PAMT_OUTSIDE_CMRS", 0),
    ([info(base=3 * GIB)], "TDMR_OUTSIDE_CMRS", 0),
    ([info(base=3 * GIB, reserved=[(0, GIB)])], "SUCCESS", 0),
])  # fmt: skip
def test_tdmrs_are_checked_in_the_order_of_the_reference(infos, status, low):
    assert configure(*infos) == CODES[Status[f"TDX_{status}"]] + low


@pytest.mark.parametrize(("registers", "operand"), [
    ({"rcx": 0x1001}, 1), ({"rdx": 0}, 2), ({"rdx": 65}, 2), ({"r8": 32 | 1 << 17}, 8), ({"r8": 0}, 8), ({"r8": 32 | 1 << 16}, 8),
])  # fmt: skip
def test_the_operands_of_config(registers, operand):
    assert configure(info(), **registers) == CODES[Status.TDX_OPERAND_INVALID] + operand


def test_tdmr_info_is_aligned_and_there():
    module = Module(cmrs=MEMORY)
    module.seamcall(Leaf.SYS_INIT)
    with pytest.raises(UserError, match="not 8 bytes at 0x1000"):
        module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32)
    module.memory[0x1000] = struct.pack("<Q", 0x2100)
    assert module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32).status == CODES[Status.TDX_OPERAND_INVALID] + 96
    module.memory[0x1000] = struct.pack("<Q", 0x2200)
    with pytest.raises(UserError, match="no TDMR_INFO at the address that pointer 0 names"):
        module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32)


def test_a_bitmap_is_enough_with_dynamic_pamt():
    small = [*info()[:7], 32 * 1024]
    assert configure(small) == CODES[Status.TDX_INVALID_PAMT] + (2 << 8)
    assert configure(small, dynamic=True, r8=32 | 1 << 16) == 0


@pytest.mark.parametrize("dynamic", [False, True])
def test_what_linux_makes_of_a_map_with_holes_is_accepted(dynamic):
    regions = [(GIB, GIB + 300 * MIB), (GIB + 400 * MIB, 3 * GIB), (4 * GIB, 5 * GIB)]
    module = Module(dynamic_pamt=dynamic, cmrs=MEMORY)
    host = Host(module, dynamic=dynamic, memory=regions)
    assert [tdmr.base for tdmr in host.tdmrs] == [GIB, 2 * GIB, 4 * GIB]
    td = host.td()
    td.augment(0)
    td.destroy()


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_block_takes_as_many_calls_as_the_reference_says_and_is_usable_when_it_is_done(dynamic):
    module = Module(dynamic_pamt=dynamic, cmrs=MEMORY)
    tdmr = construct_tdmrs([(GIB, 3 * GIB)])[0]
    for leaf in (Leaf.SYS_INIT, Leaf.SYS_LP_INIT):
        module.seamcall(leaf)
    module.memory[0x1000], module.memory[0x2000] = struct.pack("<Q", 0x2000), tdmr_info(tdmr)
    assert module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32 | dynamic << 16).ok
    assert module.seamcall(Leaf.SYS_KEY_CONFIG).ok
    calls = 64 if dynamic else 256
    for call in range(calls):
        answer = module.seamcall(Leaf.SYS_TDMR_INIT, rcx=GIB)
        assert answer.rdx == (2 * GIB if call == calls - 1 else GIB)
        if call < calls - 1 and call % 16 == 0:
            assert module.seamcall(Leaf.MNG_CREATE, rcx=GIB, rdx=33).code == Status.TDX_OPERAND_ADDR_RANGE_ERROR
    assert module.seamcall(Leaf.MNG_CREATE, rcx=2 * GIB, rdx=33).code == Status.TDX_OPERAND_ADDR_RANGE_ERROR
    created = module.seamcall(Leaf.MNG_CREATE, rcx=GIB, rdx=33)
    assert created.code == (Status.TDX_MISSING_PAMT_PAGE_PAIR if dynamic else Status.TDX_SUCCESS)
    for _ in range(calls):
        assert module.seamcall(Leaf.SYS_TDMR_INIT, rcx=GIB).ok
    assert module.seamcall(Leaf.SYS_TDMR_INIT, rcx=GIB).status == CODES[Status.TDX_TDMR_ALREADY_INITIALIZED]
    assert module.seamcall(Leaf.SYS_TDMR_INIT, rcx=5 * GIB).status == CODES[Status.TDX_OPERAND_INVALID] + 1


def test_metadata_that_a_host_reads():
    module = Module(dynamic_pamt=True, cmrs=MEMORY)
    read = lambda field: module.seamcall(Leaf.SYS_RD, rdx=field).r8  # noqa: E731
    assert [read(0x9100000100000010 + n) for n in range(4)] == [16, 16, 16, 1]
    assert (read(0x9100000100000008), read(0x9100000100000009)) == (64, 16)
    assert (read(0x9000000100000000), read(0x9000000300000081), read(0x9000000300000101)) == (2, 4 * GIB, 2 * GIB)
    assert read(0x0A00000300000008) >> 36 & 1
    assert read(0x0A00000300000008) >> 51 & 1
    assert module.seamcall(Leaf.SYS_RD, rdx=5).code == Status.TDX_METADATA_FIELD_ID_INCORRECT


def test_every_status_of_the_reference_has_its_word():
    of_the_abi = {"METADATA_FIELD_ID_INCORRECT": 0xC0000C0000000000}  # which the reference does not list
    assert {status.name.removeprefix("TDX_"): word for status, word in CODES.items()} == ref.CODES | of_the_abi
