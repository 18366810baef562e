"""The module for Python users: its registers on the outside, and the compiled model inside."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from septum.host.entry import PAGE_SHIFT
from septum.host.geometry import (
    DYNAMIC_PAMT,
    ENTRIES,
    FIXED_PAGES,
    FIXED_RANGES,
    GFNS,
    LAZY_RANGES,
    LEVELS,
    PAGES,
    RANGES,
    THREADS,
    VCPUS,
    VMS,
)
from septum.lang import SeptumError, UserError, call
from septum.lang.engine import Engine, Running
from septum.lang.engine import Status as StepStatus
from septum.lang.model import Thread
from septum.lang.struct import allocate
from septum.lang.types import scope
from septum.tdx.abi import seamcall
from septum.tdx.geometry import COUNT_BITS, EPOCH_BITS, FEWEST_LEVELS, PACKAGES, WHOLE
from septum.tdx.leaves import GuestLeaf, Leaf
from septum.tdx.memory import Memory, offer_parameters, offer_tdmrs
from septum.tdx.pamt import LARGE_PAGE, LargePage
from septum.tdx.platform import Platform
from septum.tdx.processor import GuestEvent
from septum.tdx.status import CODES, Status, named
from septum.tdx.td import TD_BUILD, TDVPS_BUILD, TdBuild, TdvpsBuild
from septum.tdx.tdcall import guest_access, interrupt_guest, tdcall
from septum.tdx.versions import EMULATED, ENHANCED_DEMOTE, HAS_DYNAMIC_PAMT, MODULE, version_number
from septum.translate.compile import compiled, load
from septum.translate.translation import Translation
from septum.translate.unit import threads

REGISTERS = ("rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13")
DRIVER = (Path(__file__).parent / "module.c").read_text()
PROCESSES = (seamcall, tdcall, guest_access, interrupt_guest)
SEAMCALL, TDCALL, ACCESS, INTERRUPT = range(4)
NAMES = frozenset(REGISTERS)
WORD = (1 << 64) - 1
WORDS = [CODES[status] for status in Status]
EVENTS = list(GuestEvent)
PARTS = {LARGE_PAGE: LargePage, TD_BUILD: TdBuild, TDVPS_BUILD: TdvpsBuild}


class ModuleStopped(SeptumError):
    """The module came upon an internal error, after which a real one answers no more."""


@dataclass(frozen=True)
class Answer:
    """The registers after a call. `status` is RAX of a SEAMCALL or TDCALL."""

    status: int
    rcx: int
    rdx: int
    r8: int
    r9: int
    r10: int
    r11: int
    r12: int
    r13: int
    event: GuestEvent = GuestEvent.NONE
    exit_reason: int | None = None

    @property
    def name(self) -> str:
        """The status by name, with its low bits."""
        return named(self.status)

    @property
    def code(self) -> Status:
        """The status without operand, level or state."""
        return next(status for status, word in CODES.items() if word >> 32 == self.status >> 32)

    @property
    def low(self) -> int:
        """Bits 31:0 of the status: an operand id, a level, a state."""
        return self.status & 0xFFFFFFFF

    @property
    def ok(self) -> bool:
        """Whether the call did its work, with or without a warning."""
        return self.status >> 63 == 0


@dataclass(frozen=True)
class Geometry:
    """The sizes of a module: entries of a table, page frames below the HKID bits, TDs, vCPUs, LPs, packages.

    `levels` and `gfns` are those of a TD whose TD_PARAMS are not in memory; with tables of 512 entries a TD may ask for 4 or 5.
    """

    entries: int = 512
    levels: int = 4
    gfns: int = 1 << 35
    pages: int = 1 << 28
    tds: int = 31
    vcpus: int = 64
    lps: int = 4
    packages: int = 1
    more: tuple[tuple[object, object], ...] = field(default=(), repr=False)

    def bindings(self) -> dict[object, object]:
        """The scope of a whole module with these sizes."""
        fewest, most, gfns = (4, 5, 1 << 39) if self.entries == 512 else (self.levels, self.levels, self.gfns)
        return {
            ENTRIES: self.entries, LEVELS: most, FEWEST_LEVELS: fewest, GFNS: gfns, PAGES: self.pages, FIXED_PAGES: self.pages,
            RANGES: self.pages // self.entries, FIXED_RANGES: self.pages // self.entries, LAZY_RANGES: 0, VMS: self.tds,
            VCPUS: self.vcpus, THREADS: self.lps, PACKAGES: self.packages, WHOLE: 1, EPOCH_BITS: 32, COUNT_BITS: 32,
            **PARTS, **dict(self.more),
        }  # fmt: skip


class Call:
    """A call of one LP that has begun. Others may run between its steps."""

    def __init__(self, module: Module, lp: int, entry: int, finished: Answer | None = None) -> None:
        self._module, self.lp, self._entry, self.answer = module, lp, entry, finished

    def step(self) -> bool:
        """Goes on to the next point at which another LP may run; whether the call has ended."""
        if self.answer is None and self._module.advance(self.lp):
            self.answer = self._module.answer(self.lp, self._entry)
        return self.answer is not None

    def finish(self) -> Answer:
        """Goes on to the end; the answer."""
        while not self.step():
            pass
        assert self.answer is not None
        return self.answer


class Module:
    """A TDX module with its platform.

    `version` is one of septum.tdx.versions.VERSIONS; `dynamic_pamt` lets SYS.CONFIG ask for the feature, `enhanced_demote` gives
    a build what its version has not, or takes it away. `engine` is "c" or "python". Addresses and sizes are in bytes. CACHE.WB
    works in `cache_blocks` pieces. All calls go through `seamcall`, `tdcall` and `access`; `begin` leaves a call between
    two steps. UserError: a version that septum has not, or one without Dynamic PAMT that is asked for it.
    """

    def __init__(
        self,
        geometry: Geometry | None = None,
        *,
        engine: str = "c",
        version: str = EMULATED,
        dynamic_pamt: bool = False,
        enhanced_demote: bool | None = None,
        cache_blocks: int = 2,
        cmrs: Sequence[tuple[int, int]] = ((1 << 30, 4 << 30),),
    ) -> None:
        if engine not in ("c", "python"):
            raise UserError(f"engine={engine!r}: a module runs in the engine 'c' or 'python'")
        self.geometry, self.engine, self.version = geometry or Geometry(), engine, version
        build = {} if enhanced_demote is None else {ENHANCED_DEMOTE: int(enhanced_demote)}
        self.bindings: dict[object, object] = {
            MODULE: version_number(version), DYNAMIC_PAMT: int(dynamic_pamt), **build, **self.geometry.bindings()
        }  # fmt: skip
        self.memory = Memory()
        self._in_a_call: set[int] = set()
        self._stopped = ""
        with self.scope():
            if dynamic_pamt and not HAS_DYNAMIC_PAMT:
                raise UserError(f"the module {version} has no Dynamic PAMT, which came with 1.5.20")
            self._translation = translated(frozenset(self.bindings.items()), self.geometry.lps)
            self._space = allocate(self._translation.layout, self._translation.state_size - self._translation.world_size)
            self.m: Any = self._space[0]
            self._address = ctypes.addressof(self.m)
            self._step = _Step()
            if engine == "c":
                self._library = load(compiled(self._translation.code, ("-O2",)))
            else:
                idle = [Thread(f"LP {lp}", (call(seamcall),)) for lp in range(self.geometry.lps)]
                self._engine = Engine(self._translation, idle, self._space)
            for lp in range(self.geometry.lps):
                self.m.lp[lp].package = lp % self.geometry.packages
            for number, (base, size) in enumerate(cmrs):
                self.m.sys.cmr[number].base, self.m.sys.cmr[number].size = base, size
            self.m.sys.cmrs, self.m.sys.cache_blocks = len(cmrs), cache_blocks
            self._lps = [self.m.lp[lp] for lp in range(self.geometry.lps)]
            self._given_words = [_words(one.given) for one in self._lps]
            self._answer_words = [_words(one.answer) for one in self._lps]
        self.cmrs = tuple(cmrs)
        for lp in range(self.geometry.lps):
            offer_parameters(self, lp)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Inside, the sizes of the model are those of this module."""
        with scope(self.bindings):
            yield

    # -- calls

    def seamcall(self, leaf: int, *, lp: int = 0, **registers: int) -> Answer:
        """A SEAMCALL of an LP: leaf number with its version in bits 23:16, registers by name; what RAX and the others say.

        After a VP.ENTER whose guest runs the answer is TDX_SUCCESS; the registers of the TD exit come with the call of the guest
        that exits.
        """
        return self.begin(leaf, lp=lp, **registers).finish()

    def begin(self, leaf: int, *, lp: int = 0, **registers: int) -> Call:
        """A SEAMCALL that is left before its first step."""
        if not 0 <= lp < self.geometry.lps:
            raise UserError(f"lp={lp}: there are {self.geometry.lps} logical processors, from 0")
        if self._lps[lp].vcpu:
            raise UserError(f"LP {lp} runs a guest: a SEAMCALL is made by the host; interrupt() brings the guest out")
        self._given(lp, leaf, registers)
        if leaf & 0xFFFF == Leaf.SYS_CONFIG:
            offer_tdmrs(self, registers.get("rcx", 0), registers.get("rdx", 0))
        elif leaf & 0xFFFF == Leaf.MNG_INIT:
            offer_parameters(self, lp, registers.get("rdx", 0))
        return self._begin(lp, SEAMCALL)

    def tdcall(self, tdvpr: int, leaf: int, **registers: int) -> Answer:
        """A TDCALL of the vCPU with this TDVPR, which runs."""
        return self.begin_tdcall(tdvpr, leaf, **registers).finish()

    def begin_tdcall(self, tdvpr: int, leaf: int, **registers: int) -> Call:
        """A TDCALL that is left before its first step."""
        lp = self.lp_of(tdvpr)
        self._given(lp, leaf, registers)
        return self._begin(lp, TDCALL)

    def access(self, tdvpr: int, gpa: int, *, write: bool = False) -> Answer:
        """A load or store of the guest at a private GPA. On a hit RCX is the host address that it reached."""
        lp = self.lp_of(tdvpr)
        self._given(lp, 0, {"rcx": gpa, "rdx": int(write)})
        return self._begin(lp, ACCESS).finish()

    def interrupt(self, lp: int = 0) -> Answer | None:
        """An interrupt for an LP: a guest that runs there leaves (its TD exit); a call that is on sees it if it polls (None)."""
        if not 0 <= lp < self.geometry.lps:
            raise UserError(f"lp={lp}: there are {self.geometry.lps} logical processors, from 0")
        if not self._lps[lp].vcpu or lp in self._in_a_call:
            self._lps[lp].interrupt = True
            return None
        self._given(lp, 0, {})
        return self._begin(lp, INTERRUPT).finish()

    def elapse(self, microseconds: int) -> None:
        """Time goes by: a guest that a host with priority keeps from an entry leaves after TDCS.HP_LOCK_TIMEOUT, a second."""
        self.m.sys.clock += microseconds

    def lp_of(self, tdvpr: int) -> int:
        """The LP on which a vCPU runs."""
        for lp in range(self.geometry.lps):
            vcpu = self.m.lp[lp].vcpu
            if vcpu and self.m.tdvps[vcpu].build.tdvpr == tdvpr >> PAGE_SHIFT:
                return lp
        raise UserError(f"no vCPU with TDVPR {tdvpr:#x} is in the guest; VP.ENTER it first")

    # -- what is below

    def _given(self, lp: int, rax: int, registers: dict[str, int]) -> None:
        if self._stopped:
            raise ModuleStopped(self._stopped)
        if lp in self._in_a_call:
            raise UserError(f"LP {lp} is in a call that has not ended; finish() it")
        values = [rax, *(registers.get(name, 0) for name in REGISTERS)]
        if not registers.keys() <= NAMES or min(values) < 0 or max(values) > WORD:
            _refuse({"leaf": rax, **registers})
        self._given_words[lp][:] = values

    def _begin(self, lp: int, entry: int) -> Call:
        if self.engine == "c":
            self._library.module_begin(ctypes.c_void_p(self._address), lp, entry)
        else:
            self._engine.threads[lp] = Running(Thread(f"LP {lp}", (call(PROCESSES[entry]),)))
        self._in_a_call.add(lp)
        return Call(self, lp, entry)

    def advance(self, lp: int) -> bool:
        """One step of the call that an LP is in; whether it has ended."""
        if self.engine == "c":
            rc = self._library.module_step(ctypes.c_void_p(self._address), lp, ctypes.byref(self._step))
            if rc == 2:
                site = self._translation.sites[self._step.failure]
                self._stop(f"{site.message or site.text} ({site.file}:{site.line})")
            return bool(rc)
        with self.scope():
            if self._engine.step(lp) is StepStatus.FAILED:
                failure = self._engine.failure
                self._stop(f"{failure.clause} ({failure.file}:{failure.line})" if failure else "")
            return self._engine.threads[lp].ended

    def _stop(self, reason: str) -> NoReturn:
        """The module came upon what cannot be, and answers no more."""
        self._stopped = reason
        raise ModuleStopped(reason)

    def answer(self, lp: int, entry: int) -> Answer:
        """What the registers of an LP say after a call, which is over."""
        self._in_a_call.discard(lp)
        state, words = self._lps[lp], self._answer_words[lp]
        status = WORDS[state.status]
        if status:
            status += state.low
        event = EVENTS[state.event]
        reason = words[0] & 0xFFFFFFFF if event is GuestEvent.EXIT and not status else None
        return Answer(status, *words[1:], event, reason)


def _words(registers: Any) -> Any:
    """Registers as an array, without the checks of a struct's fields."""
    return (ctypes.c_uint64 * (len(REGISTERS) + 1)).from_address(ctypes.addressof(registers))


def _refuse(registers: dict[str, int]) -> None:
    """Says what is wrong with the registers of a call."""
    unknown = sorted(set(registers) - NAMES - {"leaf"})
    if unknown:
        raise UserError(f"{', '.join(unknown)}: a call has the registers {', '.join(REGISTERS)}")
    wrong = [f"{name}={value:#x}" for name, value in registers.items() if not 0 <= value <= WORD]
    raise UserError(f"{', '.join(wrong)}: a register has 64 bits")


class _Step(ctypes.Structure):
    """step_t of runtime.h."""

    _fields_ = [("choice", ctypes.c_uint32), ("failure", ctypes.c_int32), ("witnesses", ctypes.c_uint64)]


@functools.lru_cache(maxsize=8)
def translated(bindings: frozenset[tuple[object, object]], lps: int, driver: str = DRIVER) -> Translation:
    """The whole module in C under the current scope, which is that of `bindings`."""
    translation = Translation(Platform, lps)
    for process in PROCESSES:
        translation.entry(process, 0)
    translation.judge(())
    threads(translation, (), driver)
    return translation


__all__ = ["Answer", "Call", "Geometry", "GuestLeaf", "Leaf", "Module", "ModuleStopped", "Status"]
