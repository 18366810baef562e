"""Which answers of each leaf were compared with the real module, from the recordings; and which of the emulator's were not."""

from __future__ import annotations

import functools
from collections import defaultdict

from septum.tdx.leaves import GuestLeaf, Leaf
from septum.tdx.status import NAMES
from tests.tdx.corpus import FOLDER, number, sequences

Answers = dict[str, set[str]]

# What the emulator answers, and no recording shows: found with 1.6 million random calls, and by reading.
NEVER = {
    "VP.ENTER": ("TDCX_NUM_INCORRECT", "TD_FATAL"),
    "VP.ADDCX": ("MISSING_PAMT_PAGE_PAIR", "TDCX_NUM_INCORRECT"),
    "MEM.PAGE.RELOCATE": ("OPERAND_ADDR_RANGE_ERROR", "OP_STATE_INCORRECT", "TDCS_NOT_ALLOCATED"),
    "MEM.RANGE.BLOCK": ("OP_STATE_INCORRECT", "TDCS_NOT_ALLOCATED"),
    "MNG.KEY.CONFIG": ("KEY_GENERATION_FAILED", "TD_FATAL"),
    "MNG.CREATE": ("RND_NO_ENTROPY",),
    "MEM.PAGE.DEMOTE": ("MISSING_PAMT_PAGE_PAIR", "OP_STATE_INCORRECT", "PAGE_NOT_FREE", "TDCS_NOT_ALLOCATED"),
    "MR.EXTEND": ("OPERAND_ADDR_RANGE_ERROR", "TDCS_NOT_ALLOCATED"),
    "VP.INIT": ("MAX_VCPUS_EXCEEDED", "X2APIC_ID_NOT_UNIQUE"),
    "MEM.PAGE.PROMOTE": ("OP_STATE_INCORRECT", "TDCS_NOT_ALLOCATED"),
    "MEM.PAGE.REMOVE": ("OP_STATE_INCORRECT", "TDCS_NOT_ALLOCATED"),
    "MEM.SEPT.REMOVE": ("OP_STATE_INCORRECT", "TDCS_NOT_ALLOCATED"),
    "MEM.RANGE.UNBLOCK": ("OP_STATE_INCORRECT", "TDCS_NOT_ALLOCATED"),
    "MEM.TRACK": ("OP_STATE_INCORRECT",),
    "PHYMEM.PAMT.REMOVE": ("OPERAND_BUSY",),
    "SYS.INIT": ("SUCCESS",),
    "SYS.LP.INIT": ("OPERAND_INVALID", "SUCCESS"),
    "SYS.CONFIG": ("SYS_BUSY",),
    "SYS.TDMR.INIT": ("OPERAND_BUSY",),
    "SYS.INFO": ("OPERAND_INVALID", "SUCCESS"),
    "guest MEM.PAGE.ACCEPT": ("HOST_PRIORITY_BUSY_TIMEOUT",),
}


def short(word: int) -> str:
    """A status as the page names it."""
    return NAMES.get(word >> 32, hex(word)).removeprefix("TDX_")


@functools.cache
def recorded() -> tuple[dict[str, int], Answers]:
    """How often each leaf was called, and what it answered, by name; a TD exit is EXIT."""
    calls: dict[str, int] = defaultdict(int)
    answers: Answers = defaultdict(set)
    for sequence in sequences(FOLDER):
        begun: dict[int, str] = {}
        for step in sequence["steps"]:
            name = begun.get(step["lp"], "") if step["call"] == "resume" else leaf_of(step)
            answer = step.get("answer")
            if step["call"] == "begin" and answer is None:
                begun[step["lp"]] = name
            if not name or answer is None:
                continue
            calls[name] += step.get("repeat", 1)
            left = answer.get("event") == "EXIT" and not number(answer["rax"]) >> 32
            answers[name].add("a TD exit" if left else short(number(answer["rax"])))
    return calls, answers


def leaf_of(step: dict[str, object]) -> str:
    """The name of the leaf that a step calls; none of an access, an interrupt, or a leaf that the emulator has not."""
    kind = step.get("of", step["call"])
    if kind == "seamcall" and step["leaf"] in {int(leaf) for leaf in Leaf}:
        return Leaf(step["leaf"]).name.replace("_", ".")
    if kind == "tdcall" and step["leaf"] in {int(leaf) for leaf in GuestLeaf}:
        return "guest " + GuestLeaf(step["leaf"]).name.replace("_", ".")
    return ""


def table() -> str:
    """The table of the page: a row a leaf."""
    calls, answers = recorded()
    every = [leaf.name.replace("_", ".") for leaf in Leaf] + ["guest " + leaf.name.replace("_", ".") for leaf in GuestLeaf]
    lines = ["| leaf | calls | answers compared with 1.5.25 | answers never compared |", "| --- | --- | --- | --- |"]
    for name in every:
        said = ", ".join(sorted(answers[name])) if name in answers else "none"
        lines.append(f"| {name} | {calls.get(name, 0)} | {said} | {', '.join(NEVER.get(name, ())) or '-'} |")
    return "\n".join(lines)
