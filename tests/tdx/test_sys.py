"""SYS.CONFIG takes what Linux makes of a memory map, and refuses what the reference says, with the number of the TDMR; 2.1."""

from __future__ import annotations

import struct

import pytest

from septum.host.tdmrs import GIB, construct_tdmrs
from septum.lang import UserError
from septum.tdx import Host, Leaf, Module
from septum.tdx.bringup import tdmr_info
from septum.tdx.memory import Memory
from septum.tdx.status import CODES, Status
from tests.tdx import reference as ref

MIB = 1 << 20
MEMORY = ((GIB, 2 * GIB), (4 * GIB, 2 * GIB))


def initialised(dynamic: bool = False) -> Module:
    """A module with two CMRs that waits for SYS.CONFIG."""
    module = Module(dynamic_pamt=dynamic, cmrs=MEMORY)
    module.seamcall(Leaf.SYS_INIT)
    for lp in range(module.geometry.lps):
        module.seamcall(Leaf.SYS_LP_INIT, lp=lp)
    return module


def configure(*infos: list[int], dynamic: bool = False, **registers: int):
    """SYS.CONFIG of a module with two CMRs; the words of each TDMR_INFO."""
    module = initialised(dynamic)
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
    ([info(reserved=[(0, 0), (0, MIB)])], "NON_ORDERED_RESERVED_IN_TDMR", 0),
    ([info(reserved=[(100, MIB)])], "INVALID_RESERVED_IN_TDMR", 0),
    ([info(reserved=[(GIB, MIB)])], "INVALID_RESERVED_IN_TDMR", 0),
    ([info(pamt=2 * GIB + 1)], "INVALID_PAMT", 2 << 8),
    ([[*info()[:7], 2 * MIB]], "INVALID_PAMT", 0),
    ([info(pamt=GIB)], "PAMT_OVERLAP", 0),
    ([info(pamt=GIB, reserved=[(0, 8 * MIB)])], "SUCCESS", 0),
    ([info(), info(base=4 * GIB)], "PAMT_OVERLAP", 1),
    ([info(pamt=4 * GIB), info(base=4 * GIB, pamt=2 * GIB)], "PAMT_OVERLAP", 1 << 16),
    ([info(pamt=3 * GIB)], "PAMT_OUTSIDE_CMRS", 2 << 8),
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
    module = initialised()
    with pytest.raises(UserError, match="nothing at 0x1000"):
        module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32)
    module.memory[0x1000] = struct.pack("<Q", 0x2100)
    assert module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32).status == CODES[Status.TDX_OPERAND_INVALID] + 1
    module.memory[0x1000] = struct.pack("<Q", 0x2200)
    with pytest.raises(UserError, match="nothing at 0x2200"):
        module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32)


def test_what_is_written_later_lies_over_what_was_there():
    memory = Memory()
    memory[0x1000], memory[0x1004] = b"abcdefgh", b"XY"
    assert memory.read(0x1000, 10) == b"abcdXYgh\0\0"
    memory[0x1000] = b"abcdefgh"
    assert memory.read(0x1000, 8) == b"abcdefgh"
    assert memory.read(0x0FFF, 8) is None


def test_every_lp_is_initialised_once_and_before_the_module_is_configured():
    module = Module(cmrs=MEMORY)
    module.memory[0x1000], module.memory[0x2000] = struct.pack("<Q", 0x2000), struct.pack(f"<{len(info())}Q", *info())
    config = lambda: module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=32).code  # noqa: E731
    assert module.seamcall(Leaf.SYS_LP_INIT).code == Status.TDX_SYS_LP_INIT_NOT_PENDING
    assert module.seamcall(Leaf.SYS_INIT, rcx=1).code == Status.TDX_OPERAND_INVALID
    assert module.seamcall(Leaf.SYS_INIT).ok
    assert module.seamcall(Leaf.SYS_INIT).code == Status.TDX_SYS_INIT_NOT_PENDING
    assert module.seamcall(Leaf.SYS_KEY_CONFIG).code == Status.TDX_SYS_KEY_CONFIG_NOT_PENDING
    for lp in range(4):
        assert config() == Status.TDX_SYS_CONFIG_NOT_PENDING
        assert module.seamcall(Leaf.SYS_LP_INIT, lp=lp).ok
    assert module.seamcall(Leaf.SYS_LP_INIT).code == Status.TDX_SYS_LP_INIT_DONE
    assert config() == Status.TDX_SUCCESS
    assert module.seamcall(Leaf.SYS_LP_INIT).code == Status.TDX_SYS_LP_INIT_NOT_PENDING


def test_a_config_that_fails_keeps_its_hkid():
    module = initialised()
    for hkid, wrong in ((33, 1), (32, 0)):
        words = info(base=GIB + wrong)
        module.memory[0x1000], module.memory[0x2000] = struct.pack("<Q", 0x2000), struct.pack(f"<{len(words)}Q", *words)
        assert module.seamcall(Leaf.SYS_CONFIG, rcx=0x1000, rdx=1, r8=hkid).ok == (not wrong)
    module.seamcall(Leaf.SYS_KEY_CONFIG)
    for _ in range(256):
        module.seamcall(Leaf.SYS_TDMR_INIT, rcx=GIB)
    assert module.seamcall(Leaf.MNG_CREATE, rcx=GIB, rdx=33).code == Status.TDX_HKID_NOT_FREE
    assert module.seamcall(Leaf.MNG_CREATE, rcx=GIB, rdx=34).ok


def test_a_bitmap_is_enough_with_dynamic_pamt():
    small = [*info()[:7], 32 * 1024]
    assert configure(small) == CODES[Status.TDX_INVALID_PAMT]
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
    module = initialised(dynamic)
    tdmr = construct_tdmrs([(GIB, 3 * GIB)])[0]
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
    assert (read(0x9000000100000000), read(0x9000000300000081), read(0x9000000300000101)) == (32, 4 * GIB, 2 * GIB)
    assert read(0x0A00000300000008) == 0xD1326F3F0EBF
    wrong = module.seamcall(Leaf.SYS_RD, rdx=5)
    assert (wrong.code, wrong.rdx) == (Status.TDX_METADATA_FIELD_ID_INCORRECT, (1 << 64) - 1)
    first = module.seamcall(Leaf.SYS_RD, rdx=(1 << 64) - 1)
    assert first.code == Status.TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT
    assert module.seamcall(Leaf.SYS_RD, rdx=first.rdx).ok
    assert module.seamcall(Leaf.SYS_RD, rdx=0x900000030000009F).rdx == 0x9000000300000100


@pytest.mark.parametrize(
    ("version", "dynamic", "enhanced"), [("1.5.16", 0, 0), ("1.5.25", 1, 0), ("1.5.28", 1, 1), ("2.0", 1, 1)]
)
def test_the_features_of_a_version(version, dynamic, enhanced):
    features = Module(cmrs=MEMORY, version=version).seamcall(Leaf.SYS_RD, rdx=0x0A00000300000008).r8
    assert (features >> 36 & 1, features >> 51 & 1) == (dynamic, enhanced)


def test_every_status_of_the_reference_has_its_word():
    of_the_abi = {  # which the reference does not list
        "METADATA_FIELD_ID_INCORRECT": 0xC0000C0000000000, "METADATA_FIRST_FIELD_ID_IN_CONTEXT": 0x00000C0B00000000,
        "INTERRUPTED_BUSY": 0x8000020600000000,
        "SYS_INIT_NOT_PENDING": 0xC000050000000000, "SYS_LP_INIT_DONE": 0xC000050300000000,
        "SYS_KEY_CONFIG_NOT_PENDING": 0xC000050700000000, "SYS_LP_INIT_NOT_PENDING": 0xC000050B00000000,
        "NO_VALID_VE_INFO": 0xC000070400000000,
    }  # fmt: skip
    assert {status.name.removeprefix("TDX_"): word for status, word in CODES.items()} == ref.CODES | of_the_abi
