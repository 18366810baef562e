"""Measures the TDX module's emulator at real geometry: common SEAMCALLs, and the Secure EPT of a large TD, page by page at 4K.

Times are those of the processor, so that what else runs on the machine is not measured.

python benchmarks/tdx.py [--gib 64]
"""

from __future__ import annotations

import argparse
import ctypes
import resource
import time
from pathlib import Path

from septum.tdx.bringup import Host, Td, expect
from septum.tdx.leaves import Leaf
from septum.tdx.module import DRIVER, Geometry, Module, translated
from septum.translate.compile import compiled, load

LOOPS = (Path(__file__).parent / "tdx.c").read_text()
GIB = 1 << 30
CALLS = 1_000_000


def library_of(module: Module) -> ctypes.CDLL:
    """The module's C with the loops behind it."""
    with module.scope():
        translation = translated(frozenset(module.bindings.items()), module.geometry.lps, DRIVER + LOOPS)
        library = load(compiled(translation.code, ("-O2",)))
    library.repeat.argtypes = [ctypes.c_void_p, *[ctypes.c_uint64] * 5]
    library.repeat.restype = ctypes.c_int
    library.fill.argtypes = [ctypes.c_void_p, *[ctypes.c_uint64] * 5, ctypes.POINTER(ctypes.c_uint64)]
    library.fill.restype = ctypes.c_int64
    return library


def one_call(host: Host, td: Td, library: ctypes.CDLL) -> None:
    """Nanoseconds a call of common leaves, each called again and again on the same entry."""
    page = td.augment(0)
    address = ctypes.addressof(host.module.m)
    rows = {
        "MEM.SEPT.RD": [(Leaf.MEM_SEPT_RD, 0, td.tdr, 0)],
        "MEM.TRACK": [(Leaf.MEM_TRACK, td.tdr, 0, 0)],
        "RANGE.BLOCK, TRACK, RANGE.UNBLOCK": [
            (Leaf.MEM_RANGE_BLOCK, 0, td.tdr, 0), (Leaf.MEM_TRACK, td.tdr, 0, 0), (Leaf.MEM_RANGE_UNBLOCK, 0, td.tdr, 0),
        ],
        "RANGE.BLOCK, TRACK, PAGE.REMOVE, PAGE.AUG": [
            (Leaf.MEM_RANGE_BLOCK, 0, td.tdr, 0), (Leaf.MEM_TRACK, td.tdr, 0, 0), (Leaf.MEM_PAGE_REMOVE, 0, td.tdr, 0),
            (Leaf.MEM_PAGE_AUG, 0, td.tdr, page),
        ],
    }  # fmt: skip
    print("| calls | ns a call |\n| --- | --- |")
    for name, calls in rows.items():
        flat = (ctypes.c_uint64 * (4 * len(calls)))(*(int(number) for call in calls for number in call))
        rounds = CALLS // len(calls)
        begin = time.process_time()
        failed = library.repeat(address, ctypes.addressof(flat), len(calls), rounds, 0, 0)
        seconds = time.process_time() - begin
        assert not failed, f"{name}: call {failed - 1} does not succeed"
        print(f"| {name} | {seconds / rounds / len(calls) * 1e9:.0f} |")
    begin = time.process_time()
    for _ in range(10_000):
        host.module.seamcall(Leaf.MEM_SEPT_RD, rcx=0, rdx=td.tdr)
    print(f"| MEM.SEPT.RD, from Python | {(time.process_time() - begin) / 10_000 * 1e9:.0f} |")


def build(host: Host, td: Td, library: ctypes.CDLL, gib: int) -> None:
    """SEPT.ADD, AUG and ACCEPT of every 4K page of a TD."""
    base = GIB
    tables = host.page(size=GIB)
    first = host.page(size=GIB)
    address = ctypes.addressof(host.module.m)
    counts = (ctypes.c_uint64 * 3)()
    expect(host.module.seamcall(Leaf.VP_ENTER, lp=1, rcx=td.vcpus[1]))
    begin = time.process_time()
    failed = library.fill(address, td.tdr, base, gib << 18, first, tables, counts)
    seconds = time.process_time() - begin
    assert not failed, f"page {failed - 1} does not succeed"
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    calls = sum(counts)
    print(f"\n| TD | SEPT.ADD | AUG | ACCEPT | seconds | ns a call | MiB |\n| {'--- | ' * 7}".rstrip())
    print(f"| {gib} GiB at 4K | {counts[0]} | {counts[1]} | {counts[2]} | {seconds:.1f} | {seconds / calls * 1e9:.0f} | {size} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=int, default=64)
    gib = parser.parse_args().gib
    module = Module(Geometry(lps=2), cmrs=((GIB, (gib + 5) * GIB),))
    library = library_of(module)
    begin = time.process_time()
    host = Host(module)
    print(f"boot of {gib + 5} GiB: {time.process_time() - begin:.2f} s\n")
    td = host.td(vcpus=2)
    one_call(host, td, library)
    build(host, td, library, gib)


if __name__ == "__main__":
    main()
