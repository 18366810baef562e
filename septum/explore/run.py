"""A run of the explorer as C has it: the structures of run.h, field by field."""

from __future__ import annotations

import ctypes
from typing import Annotated, Any, TypeAlias, TypeVar, get_type_hints

from septum.explore.watching import RaceRecord

U32: TypeAlias = Annotated[int, ctypes.c_uint32]
U64: TypeAlias = Annotated[int, ctypes.c_uint64]
I32: TypeAlias = Annotated[int, ctypes.c_int32]
F64: TypeAlias = Annotated[float, ctypes.c_double]
Bytes: TypeAlias = Annotated[bytes, ctypes.c_char_p]
Path: TypeAlias = Annotated[bytes | None, ctypes.c_char_p]
Pairs: TypeAlias = Annotated[Any, ctypes.POINTER(ctypes.c_uint32)]
Handle: TypeAlias = Annotated[int | None, ctypes.c_void_p]
Files: TypeAlias = Annotated[Any, ctypes.c_int32 * 2]

Structure = TypeVar("Structure", bound=type[ctypes.Structure])


def laid_out(structure: Structure) -> Structure:
    """A structure whose fields have the types that its annotations name for C."""
    structure._fields_ = [(name, of.__metadata__[0]) for name, of in get_type_hints(structure, include_extras=True).items()]
    return structure


@laid_out
class ProgressRecord(ctypes.Structure):
    """struct septum_progress."""

    states: U64
    transitions: U64
    final_states: U64
    frontier: U64
    depth: U64
    bytes: U64


@laid_out
class ResumedRecord(ctypes.Structure):
    """struct septum_resumed."""

    depth: U64
    states: U64
    seconds: F64
    lost_depth: U64
    lost_states: U64
    lost_seconds: F64


@laid_out
class Run(ctypes.Structure):
    """struct septum_run."""

    initial: Bytes
    most_states: U64
    most_bytes: U64
    most_depth: U64
    most_seconds: F64
    spill_bytes: U64
    threads: U32
    daemons: U32
    workers: U32
    symmetry: U32
    reductions: U32
    watch: U32
    deadlocks_aside: U32
    resume: U32
    keep_at_end: U32
    checkpoint: Path
    unfinished_checkpoint: Bytes
    identity: Bytes
    key: Bytes
    checkpoint_seconds: F64
    spill_files: Files
    stop: U32
    change: U32
    left: Handle
    progress: Annotated[ProgressRecord, ProgressRecord]
    outcome: I32
    failure: I32
    peak_bytes: U64
    frontier_bytes: U64
    spilled_bytes: U64
    checkpoints: U64
    failed_checkpoints: U64
    resumed: Annotated[ResumedRecord, ResumedRecord]
    refusal: U32
    witnesses: U64
    seconds: F64
    schedule: Pairs
    steps: U64
    race: Annotated[RaceRecord, RaceRecord]
    unwatched: U32
    traced: U32
