"""Random calls, valid, malformed and racing: what the module says of its pages stays true, and a failed call changes nothing."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from septum.host.geometry import DYNAMIC_PAMT
from septum.tdx.bringup import Host
from septum.tdx.geometry import (
    CMRS,
    FIRST_HKID,
    HKIDS,
    MAX_TDVPX,
    MIN_TDVPX,
    RESERVED_AREAS,
    STEPPED_FAULTS,
    STEPPED_GPAS,
    TDMRS,
    TLB_ENTRIES,
)
from septum.tdx.leaves import Leaf
from septum.tdx.module import DRIVER, Geometry, Module, translated
from septum.tdx.status import Status
from septum.tdx.versions import EMULATED, MAX_TDCX, MIN_TDCX, SEPT_ROOT_TDCX
from septum.translate.compile import compiled, load

CALLS = Path(__file__).with_name("random_calls.c")
SMALL = Geometry(
    entries=4, levels=3, gfns=64, pages=256, tds=3, vcpus=4, lps=3, packages=2,
    more=((HKIDS, 5), (FIRST_HKID, 1), (MIN_TDCX, 2), (MAX_TDCX, 3), (SEPT_ROOT_TDCX, 1), (MIN_TDVPX, 2), (MAX_TDVPX, 3),
          (TDMRS, 2), (RESERVED_AREAS, 4), (CMRS, 2), (TLB_ENTRIES, 4), (STEPPED_GPAS, 4), (STEPPED_FAULTS, 2)),
)  # fmt: skip
BLOCK = 4096 * 16
MEMORY = ((BLOCK, 13 * BLOCK),)


COUNTS = ("calls", "steps", "races", "pruned", "errors", "checked", "merged", "split")


class Report(ctypes.Structure):
    """report_t of random_calls.c."""

    _fields_ = [(name, ctypes.c_uint64) for name in COUNTS] + [
        ("seen", ctypes.c_uint64 * len(Status) * 64), ("guest", ctypes.c_uint64 * len(Status) * 8),
        ("wrong", ctypes.c_char * 256), ("at", ctypes.c_uint64),
    ]  # fmt: skip


def run(calls: int, seed: int, *, dynamic: bool, life: int = 20_000, planted: str = "", version: str = EMULATED) -> Report:
    """So many random calls in the C engine, from a module that is ready; `planted` names the defect that it has."""
    module = Module(SMALL, dynamic_pamt=dynamic, cmrs=MEMORY, version=version)
    Host(module, dynamic=dynamic)
    with module.scope():
        macros = {
            "ENTRIES": 4, "ENTRY_BITS": 2, "LEVELS": 3, "GFNS": 64, "PAGES": 256, "TDS": 3, "VCPUS": 4, "LPS": 3, "TLB": 4,
            "HKIDS": 5, "PACKAGES_OF_LPS": 2, "STATUSES": len(Status), "RESUMABLE": int(Status.TDX_INTERRUPTED_RESUMABLE),
            "BUSY": int(Status.TDX_OPERAND_BUSY), "DYNAMIC": int(bool(DYNAMIC_PAMT)),
        }  # fmt: skip
        head = f"/* {planted} */\n" + "".join(f"#define {name} {value}\n" for name, value in macros.items())
        driver = DRIVER + head + CALLS.read_text()
        translation = translated(frozenset(module.bindings.items()), SMALL.lps, driver)
        library = load(compiled(translation.code, ("-O0" if planted else "-O2",)))
        for number, site in enumerate(translation.sites):
            library.septum_ignore(number, site.message.startswith(("fatal", "scope")))
        report = Report()
        library.random_calls.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p]
        wrong = library.random_calls(ctypes.addressof(module.m), seed, calls, life, ctypes.byref(report))
        said = report.wrong.decode()
        if said.startswith("an assertion"):
            said += f": {translation.sites[int(said.rsplit(' ', 1)[1])]}"
        assert not wrong, f"seed {seed}, call {report.at}: {said}"
    return report


def statuses(report: Report) -> set[tuple[str, str]]:
    """Every leaf with every status that it answered."""
    return {(leaf.name, status.name) for leaf in Leaf for status in Status if report.seen[leaf][status]}


@pytest.mark.parametrize(("version", "dynamic"), [("1.5.16", False), ("1.5.25", True), ("2.0", False)])
def test_whatever_is_called_pages_and_secure_ept_agree(version, dynamic):
    report = run(150_000, 7, dynamic=dynamic, version=version)
    assert report.calls >= 150_000
    assert report.errors > 1000
    assert report.races > 1000
    assert report.checked > 500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "dynamic"), [("1.5.16", False), ("1.5.25", False), ("1.5.25", True), ("1.5.28", True), ("2.0", True)]
)
def test_ten_million_calls(version, dynamic):
    """The same for 10^7 calls under five versions together, under each of which they come to every leaf's success."""
    report = run(2_000_000, 11, dynamic=dynamic, version=version)
    reached = statuses(report)
    never = {Leaf.SYS_LP_SHUTDOWN, Leaf.SYS_INFO, Leaf.SYS_RD, Leaf.SYS_LP_INIT, Leaf.SYS_KEY_CONFIG, Leaf.SYS_INIT,
             Leaf.SYS_CONFIG, Leaf.SYS_TDMR_INIT}  # fmt: skip
    if not dynamic:
        never |= {Leaf.PHYMEM_PAMT_ADD, Leaf.PHYMEM_PAMT_REMOVE}
    assert {leaf.name for leaf in Leaf if leaf not in never} <= {leaf for leaf, status in reached if status == "TDX_SUCCESS"}
    assert report.merged and report.split, "no 1G page was made or split"
    assert any(event[Status.TDX_OPERAND_BUSY] for event in report.guest)
    gave_way = {leaf for leaf, status in reached if status == "TDX_INTERRUPTED_BUSY"}
    assert gave_way == {"1.5.16": set(), "1.5.25": {"MEM_PAGE_DEMOTE", "MEM_PAGE_PROMOTE"}}.get(version, {"MEM_PAGE_PROMOTE"})
