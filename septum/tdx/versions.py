"""Versions of the TDX module: every rule in which they differ, what each has, and how that is known.

The public source of 1.5.16 and of 1.5.25 was read side by side; 1.5.25 was also run as an ordinary program, and the emulator's
answers were compared with its own. Of 1.5.28 and of 2.0 parts of the source were read, and nothing was run: what is not known of
them is taken from 1.5.25, and its row says so.

    if TREE_PRIORITY: ...

`Module(version=...)` and `septum check --module` bind MODULE; the branch of another version is no part of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from septum.lang import Size, UserError

VERSIONS = ("1.5.16", "1.5.25", "1.5.28", "2.0")
EMULATED = "1.5.25"
"""The version of an emulated module that is not told which."""

MODULE = Size("MODULE", 0)  # which of VERSIONS; a check that is not told follows the first


@dataclass(frozen=True)
class Rule:
    """What a size of the model is in each of VERSIONS, in words, and the source of it."""

    size: Size
    values: tuple[int, int, int, int]
    meaning: str
    source: str


RULES: list[Rule] = []


def version_number(version: str) -> int | None:
    """MODULE for a version by its name; None without one. UserError for one that is not followed."""
    if version and version not in VERSIONS:
        raise UserError(f"septum follows no TDX module {version}; there are {', '.join(VERSIONS)}")
    return VERSIONS.index(version) if version else None


def _rule(name: str, values: tuple[int, int, int, int], meaning: str, source: str) -> Size:
    size = Size(name, lambda: values[MODULE.value])
    RULES.append(Rule(size, values, meaning, source))
    return size


HAS_DYNAMIC_PAMT = _rule(
    "HAS_DYNAMIC_PAMT", (0, 1, 1, 1), "Dynamic PAMT: TDX_FEATURES0 bit 36",
    "new in 1.5.20; 1.5.25 run; 1.5.28 and 2.0 by their source",
)  # fmt: skip
PROMOTE_EXCLUSIVE = _rule(
    "PROMOTE_EXCLUSIVE", (0, 1, 1, 1), "PAGE.PROMOTE takes the S-EPT tree exclusively",
    "new in 1.5.20, and in the source of 2.0; 1.5.25 run; 1.5.28 not known, as 1.5.25",
)  # fmt: skip
TREE_PRIORITY = _rule(
    "TREE_PRIORITY", (0, 1, 1, 1),
    "a host call that loses the S-EPT tree marks its lock; PROMOTE, and DEMOTE where it polls, give way: INTERRUPTED_BUSY",
    "new in 1.5.20; 1.5.25 run; the mark by the source of 1.5.28 and the later one of 2.0; the poll there not known, as 1.5.25",
)  # fmt: skip
KEEPS_PRIORITY = _rule(
    "KEEPS_PRIORITY", (0, 1, 1, 1), "the host-priority bit of an entry survives what a leaf writes there",
    "new in 1.5.20; 1.5.25 run; 1.5.28 and 2.0 not known, as 1.5.25",
)  # fmt: skip
ZERO_STEP_SHARED = _rule(
    "ZERO_STEP_SHARED", (0, 1, 1, 1), "the zero-step filter of VP.ENTER takes the S-EPT tree shared, not exclusively",
    "new in 1.5.20; 1.5.25 run; by the source of 1.5.28 and the later one of 2.0",
)  # fmt: skip
PENDING_PASSES = _rule(
    "PENDING_PASSES", (0, 1, 1, 1), "the zero-step filter lets a guest in that will get #VE for a pending page",
    "new in 1.5.20; 1.5.25 run; 1.5.28 and 2.0 not known, as 1.5.25",
)  # fmt: skip
ENHANCED_DEMOTE = _rule(
    "ENHANCED_DEMOTE", (0, 0, 1, 1), "PAGE.DEMOTE without L2 VMs does not poll: TDX_FEATURES0 bit 51",
    "1.5.25 polls (run), 1.5.16 by its source; 1.5.28 by its source and by what Linux says of the bit; 2.0 by its source",
)  # fmt: skip
MIN_TDCX = _rule(
    "MIN_TDCX", (6, 6, 6, 9), "least pages of a TDCS",
    "1.5.05 to 1.5.25, which was run; 2.0 by its source; 1.5.28 not known, as 1.5.25",
)  # fmt: skip
MAX_TDCX = _rule("MAX_TDCX", (9, 9, 9, 12), "most pages of a TDCS", "as the least")
SEPT_ROOT_TDCX = _rule(
    "SEPT_ROOT_TDCX", (3, 3, 3, 6), "which page of a TDCS, from 0, is the root of the Secure EPT", "as the least"
)
