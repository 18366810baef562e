"""A replay from the first line to the last."""

from __future__ import annotations

import ctypes
import gzip
from pathlib import Path

from septum.kvm.events import Guard, Step
from septum.replay.native import RING, Replay, library


def replay_file(trace: Path) -> str:
    """What became of a trace of a 6.12 kernel with NPT."""
    lib = library()
    m = lib.world()
    layout = m.layout
    layout.nonleaf, layout.leaf, layout.optional = 0x827, 0x805, 0x662 | 1 << 63
    layout.writable, layout.mmu_writable, layout.host_writable = 2, 1 << 10, 1 << 9
    layout.accessed, layout.dirty, layout.splits = 0x20, 0x40, True
    state = Replay()
    lib.c.replay_start(
        ctypes.byref(state), ctypes.c_void_p(ctypes.addressof(m)), ctypes.c_uint64(1 << 63), ctypes.c_uint64(0x80000000000005A0)
    )
    data = gzip.decompress(trace.read_bytes()) if trace.suffix == ".gz" else trace.read_bytes()
    lib.c.replay_feed(ctypes.byref(state), data, ctypes.c_size_t(len(data)), 1)
    lib.c.replay_drain(ctypes.byref(state))
    if state.stop:
        record = state.ring[state.diverged_at % RING]
        line = data[record.offset : record.offset + record.length].decode()
        return f"line {record.line}: {Step(m.step).name}: {Guard(m.guard).name}\n{line}"
    return f"{state.scan.events} events followed"
