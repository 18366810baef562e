"""A language of lines for the emulator: SEAMCALLs by name, registers by name, what they must answer, the tree of a Secure EPT.

    tdr = page                                # a page that nobody has
    MNG.CREATE rcx=tdr rdx=40
    MEM.SEPT.RD rcx=0x1000|1 rdx=tdr -> TDX_EPT_WALK_FAILED|1
    tree tdr

A leaf without `->` has to answer TDX_SUCCESS where lines are run as a script.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from septum.host.entry import PAGE_SHIFT, describe
from septum.lang import UserError
from septum.tdx.bringup import Host
from septum.tdx.leaves import GuestLeaf, Leaf
from septum.tdx.module import REGISTERS, Answer, Module
from septum.tdx.operands import NAMES as OPERANDS
from septum.tdx.processor import GuestEvent
from septum.tdx.sept import SeptState, sept_state
from septum.tdx.status import CODES, Status
from septum.tdx.td import Lifecycle

HELP = """\
LEAF reg=value ... [lp=N] [-> STATUS]   a SEAMCALL, by name (MEM.PAGE.AUG) or number
tdcall LEAF reg=value ... [vcpu=TDVPR]  a TDCALL of the vCPU that entered last, or of this one
read GPA | write GPA [vcpu=TDVPR]       an access of the guest
interrupt [lp=N]                        an interrupt: a guest leaves, a leaf that polls sees it
name = value | page | page 2M           a variable; page: memory that nobody has
tree TDR                                the Secure EPT of a TD
show HPA                                what the PAMT says of a page
store HPA WORD ...                      64-bit words in memory: the TDMR_INFO that SYS.CONFIG reads
leaves | vars | help | quit
A value is a number (4096, 0x1000, 2M), a variable, or values joined by | and +.
STATUS is a name, NAME|operand (RCX, SEPT_TREE, 1), EXIT or VE; * is any. # begins a comment."""
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
NUMBERS = {name.upper().replace(" ", "_"): number for number, name in OPERANDS.items()}
COMMANDS = ("tdcall", "read", "write", "interrupt", "tree", "show", "store", "leaves", "vars", "help", "quit", "exit")


@dataclass(frozen=True)
class Outcome:
    """What a line printed, and whether it answered what it had to."""

    text: str
    expected: bool = True


class Shell:
    """Runs lines against one module, whose variables and last vCPU it remembers."""

    def __init__(self, module: Module, host: Host | None = None, *, strict: bool = False) -> None:
        self.module, self.host, self.strict = module, host, strict
        self.variables: dict[str, int] = {}
        self.tdvpr = 0
        self._commands: dict[str, Callable[[list[str]], Outcome]] = {
            "tdcall": self._tdcall, "read": self._access, "write": self._access, "interrupt": self._interrupt,
            "tree": self._tree, "show": self._show, "store": self._store,
            "leaves": lambda words: alone(words, leaf_list()), "help": lambda words: alone(words, HELP), "vars": self._vars,
        }  # fmt: skip

    def run(self, line: str) -> Outcome:
        """One line. UserError says what is wrong with it."""
        text = line.split("#", 1)[0].strip()
        if not text:
            return Outcome("")
        call, arrow, expectation = (part.strip() for part in text.partition("->"))
        words = call.split()
        if arrow and not expectation:
            raise UserError("after -> stands a status: TDX_SUCCESS, TDX_OPERAND_BUSY|RCX, EXIT, VE or *")
        assignment = re.fullmatch(r"(\w+)\s*=\s*(.*)", call)
        if assignment and not arrow:
            return self._assign(*assignment.groups())
        if not words:
            raise UserError("-> without a call before it")
        command = self._commands.get(words[0].lower())
        outcome = command(words) if command else self._seamcall(words)
        return self._judged(outcome, expectation) if isinstance(outcome, _Called) else outcome

    # -- lines

    def _assign(self, name: str, value: str) -> Outcome:
        if name in (*REGISTERS, *COMMANDS, "lp", "vcpu", "page") or not name.isidentifier():
            raise UserError(f"{name} cannot be a variable")
        if not value:
            raise UserError(f"{name} = value, or {name} = page")
        self.variables[name] = self._page(value.split()[1:]) if value.split()[0] == "page" else self.value(value)
        return Outcome(f"{name} = {self.variables[name]:#x}")

    def _page(self, rest: list[str]) -> int:
        if self.host is None:
            raise UserError("page: the module was not brought up by septum (--no-boot); name a page yourself")
        sizes = {"": 1 << PAGE_SHIFT, "4K": 1 << PAGE_SHIFT, "2M": self.host.large, "1G": self.host.block}
        if " ".join(rest) not in sizes:
            raise UserError(f"page {' '.join(rest)}: page, page 2M or page 1G")
        return self.host.page(size=sizes[" ".join(rest)])

    def _seamcall(self, words: list[str]) -> Outcome:
        number = leaf_number(words[0])
        registers = self._registers(words[1:], (*REGISTERS, "lp"))
        lp = registers.pop("lp", 0)
        answer = self.module.seamcall(number, lp=lp, **registers)
        if number & 0xFFFF == Leaf.VP_ENTER and self.module.m.lp[lp].vcpu:
            self.tdvpr = registers.get("rcx", 0) & 0xFFFFFFFFFF000
        return _Called(answer, number & 0xFFFF != Leaf.VP_ENTER)

    def _tdcall(self, words: list[str]) -> Outcome:
        if len(words) < 2:
            raise UserError("tdcall LEAF reg=value ...: MEM.PAGE.ACCEPT, or its number 6")
        registers = self._registers(words[2:], (*REGISTERS, "vcpu"))
        vcpu = registers.pop("vcpu", self.tdvpr)
        return _Called(self.module.tdcall(vcpu, guest_leaf_number(words[1]), **registers))

    def _access(self, words: list[str]) -> Outcome:
        if len(words) < 2:
            raise UserError(f"{words[0]} GPA")
        vcpu = self._registers(words[2:], ("vcpu",)).get("vcpu", self.tdvpr)
        answer = self.module.access(vcpu, self.value(words[1]), write=words[0].lower() == "write")
        if answer.event is GuestEvent.DONE:
            return _Called(answer, text=f"reaches host address {answer.rcx:#x}")
        return _Called(answer)

    def _interrupt(self, words: list[str]) -> Outcome:
        answer = self.module.interrupt(self._registers(words[1:], ("lp",)).get("lp", 0))
        return Outcome("pending") if answer is None else _Called(answer)

    def _tree(self, words: list[str]) -> Outcome:
        if len(words) != 2:
            raise UserError("tree TDR")
        return Outcome("\n".join(tree(self.module, self.value(words[1]))))

    def _show(self, words: list[str]) -> Outcome:
        if len(words) != 2:
            raise UserError("show HPA")
        return self._seamcall(["PHYMEM.PAGE.RDMD", f"rcx={words[1]}"])

    def _vars(self, words: list[str]) -> Outcome:
        return alone(words, "\n".join(f"{name} = {value:#x}" for name, value in self.variables.items()))

    def _store(self, words: list[str]) -> Outcome:
        if len(words) < 3:
            raise UserError("store HPA WORD ...")
        address, *numbers = [self.value(word) for word in words[1:]]
        self.module.memory[address] = struct.pack(f"<{len(numbers)}Q", *numbers)
        return Outcome(f"{8 * len(numbers)} bytes at {address:#x}")

    # -- their parts

    def value(self, text: str) -> int:
        """A number, a variable, or several joined by | and +."""
        total, sign = 0, "+"
        for part in re.split(r"([|+])", text):
            if part in ("|", "+"):
                sign = part
            else:
                total = total | self._atom(part.strip()) if sign == "|" else total + self._atom(part.strip())
        if not 0 <= total < 1 << 64:
            raise UserError(f"{text.strip()} is no number of 64 bits")
        return total

    def _atom(self, text: str) -> int:
        if text in self.variables:
            return self.variables[text]
        unit = UNITS.get(text[-1:].upper()) if not text.lower().startswith("0x") else None
        try:
            return int(text[:-1].replace("_", ""), 10) * unit if unit else int(text, 0)
        except ValueError:
            known = f"; there are {', '.join(self.variables)}" if self.variables else ""
            raise UserError(f"{text or 'nothing'} is neither a number nor a variable{known}") from None

    def _registers(self, words: list[str], known: tuple[str, ...]) -> dict[str, int]:
        found: dict[str, int] = {}
        for word in words:
            name, sign, value = word.partition("=")
            if not sign or name.lower() not in known:
                raise UserError(f"{word} is no name=value; the names are {', '.join(known)}")
            if name.lower() in found:
                raise UserError(f"{name} stands there twice")
            found[name.lower()] = self.value(value)
        return found

    def _judged(self, called: _Called, expectation: str) -> Outcome:
        text = called.text or shown(called.answer)
        if not expectation and not (self.strict and called.judged):
            return Outcome(text)
        wanted = expectation or "TDX_SUCCESS"
        if answers(called.answer, wanted):
            return Outcome(text)
        return Outcome(f"{text}\nunexpected: {wanted} was to come", expected=False)


class _Called(Outcome):
    """What a call answered, before it is compared with what it had to."""

    def __init__(self, answer: Answer, judged: bool = True, text: str = "") -> None:
        super().__init__(text)
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "judged", judged or answer.status != 0)

    answer: Answer
    judged: bool


def alone(words: list[str], text: str) -> Outcome:
    """A command that takes nothing."""
    if len(words) > 1:
        raise UserError(f"{words[0]} stands alone")
    return Outcome(text)


def answers(answer: Answer, wanted: str) -> bool:
    """Whether an answer is what a line asks for: a status with or without its low bits, EXIT, VE or *."""
    if wanted == "*":
        return True
    if wanted.upper() in ("EXIT", "VE"):
        return answer.event is GuestEvent[wanted.upper()]
    name, _, low = (part.strip() for part in wanted.partition("|"))
    name = name.upper() if name.upper().startswith("TDX_") else f"TDX_{name.upper()}"
    if name not in Status.__members__:
        raise UserError(f"{name} is no status; see docs/tdx.md or tdx-module.md 1.2")
    if answer.event in (GuestEvent.EXIT, GuestEvent.VE):
        return False
    number = operand_number(low) if low else None
    return answer.code == Status[name] and (number is None or answer.low == number)


def operand_number(text: str) -> int:
    """What stands behind the | of a status: an operand by name, or a number."""
    try:
        return NUMBERS[text.upper().replace(" ", "_")] if text.upper().replace(" ", "_") in NUMBERS else int(text, 0)
    except ValueError:
        raise UserError(f"{text} is no operand; there are {', '.join(NUMBERS)}") from None


def shown(answer: Answer) -> str:
    """An answer in one line: status by name, and the registers that are not zero."""
    if answer.event is GuestEvent.EXIT:
        head = f"TD exit, reason {answer.exit_reason}"
    elif answer.event in (GuestEvent.VE, GuestEvent.AGAIN):
        head = {GuestEvent.VE: "#VE in the guest", GuestEvent.AGAIN: "interrupted, the instruction is executed again"}[
            answer.event
        ]
    else:
        operand = OPERANDS.get(answer.low) if answer.low else None
        head = answer.name + (f" ({operand})" if operand else "")
    registers = [f"{name}={getattr(answer, name):#x}" for name in REGISTERS if getattr(answer, name)]
    return "  ".join([head, *registers])


def leaf_number(text: str) -> int:
    """A SEAMCALL leaf by name or number; a version in bits 23:16 stays."""
    name = text.upper().removeprefix("TDH.").removeprefix("TDH_").replace(".", "_")
    if name in Leaf.__members__:
        return int(Leaf[name])
    try:
        return int(text, 0)
    except ValueError:
        near = [leaf.name.replace("_", ".") for leaf in Leaf if name.split("_")[-1] in leaf.name]
        advice = f"; did you mean {', '.join(near[:3])}?" if near else "; `leaves` lists them"
        raise UserError(f"{text} is no leaf and no command{advice}") from None


def guest_leaf_number(text: str) -> int:
    """A TDCALL leaf by name or number."""
    name = text.upper().removeprefix("TDG.").removeprefix("TDG_").replace(".", "_")
    if name in GuestLeaf.__members__:
        return int(GuestLeaf[name])
    try:
        return int(text, 0)
    except ValueError:
        raise UserError(
            f"{text} is no TDCALL leaf; there are {', '.join(leaf.name.replace('_', '.') for leaf in GuestLeaf)}"
        ) from None


def leaf_list() -> str:
    """Every leaf with its number."""
    names = [f"{leaf.value:3} {leaf.name.replace('_', '.')}" for leaf in Leaf]
    rows = -(-len(names) // 3)
    return "\n".join("".join(f"{name:26}" for name in names[row::rows]).rstrip() for row in range(rows))


def tree(module: Module, tdr: int) -> Iterator[str]:
    """The Secure EPT of a TD as indented lines: GPA, state and page of every entry that is not free; equal runs in one line."""
    frame = module.m.frame[tdr >> PAGE_SHIFT] if tdr >> PAGE_SHIFT < module.geometry.pages else None
    if frame is None or frame.type != 4:
        raise UserError(f"{tdr:#x} is not the TDR of a TD")
    td = module.m.td[frame.owner]
    yield f"TD {tdr:#x}: {Lifecycle(td.lifecycle).name}, {td.build.op_state.name}, epoch {td.epoch}, {td.chldcnt} pages"
    if td.root:
        yield from _branch(module, td.root, module.geometry.levels - 1, 0, 1)


def _branch(module: Module, table: int, level: int, gpa: int, depth: int) -> Iterator[str]:
    size = (1 << PAGE_SHIFT) * module.geometry.entries**level
    entries = module.geometry.entries
    i = 0
    while i < entries:
        word = module.m.table[table].word[i]
        state = sept_state(word)
        run = 1
        while (
            state.name not in ("FREE", "NL_MAPPED")
            and i + run < entries
            and _follows(word, module.m.table[table].word[i + run], run * size)
        ):
            run += 1
        if state != SeptState.FREE:
            many = f" x {run}" if run > 1 else ""
            yield f"{'  ' * depth}{gpa + i * size:#x} level {level}: {describe(word).removeprefix('SEPT ')}{many}"
            if state == SeptState.NL_MAPPED:
                yield from _branch(module, (word & 0xFFFFFFFFFF000) >> PAGE_SHIFT, level - 1, gpa + i * size, depth + 1)
        i += run


def _follows(word: int, other: int, distance: int) -> bool:
    return other - word == distance


__all__ = ["CODES", "HELP", "Outcome", "Shell", "tree"]
