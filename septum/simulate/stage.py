"""What a workload works with: a host on which it makes TDs, whose guests touch memory, and which are destroyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from septum.host.frames import Role
from septum.kvm.virt.attributes import kvm_vm_ioctl_set_mem_attributes
from septum.kvm.virt.gmem import kvm_gmem_punch_hole
from septum.kvm.vmx.life import kvm_create_vm, kvm_vm_ioctl_create_vcpu, tdx_td_finalize, tdx_td_init, tdx_vcpu_init
from septum.kvm.vmx.populate import tdx_vcpu_init_mem_region
from septum.kvm.x86.vm import close_vcpu, close_vm, kvm_destroy_vm
from septum.simulate.actors import forget_vcpu, forget_vm, run_guest
from septum.simulate.machine import Broken, Job, Machine

PIECE = 1 << 13
"""Pages that a guest touches before a sample may be taken."""

IMAGE_STEP = 128  # pages of an INIT_MEM_REGION
IMAGE_PAGES = 1024  # 4 MiB, about the size of a TDVF image
SAMPLES = 256
CHECK_EVERY = 16
"""Steps of the model for each page of the host between two checks of the whole machine, so that they cost a part of the run."""


@dataclass(frozen=True)
class Sample:
    """A moment of a run: its time in seconds, pages by role, SEAMCALLs and faults so far."""

    seconds: float
    pages: tuple[int, ...]
    seamcalls: int
    faults: int


@dataclass
class Stage:
    """The machine, and what a TD is like here: `pages` of memory and `vcpus`. `seed` is for what is random.

    Without `has_image` TDs begin empty. Every piece of work is told to `tell`, with the pages touched so far.
    """

    machine: Machine
    pages: int
    vcpus: int
    seed: int
    has_image: bool = True
    tell: Callable[[int], None] = lambda _: None
    samples: list[Sample] = field(default_factory=list)
    _vms: list[int] = field(default_factory=list)
    _every: int = 1
    _skipped: int = 0
    _checked_at: int = 0

    def __post_init__(self) -> None:
        self._vms = list(range(self.machine.shape.vms, 0, -1))

    def td(self, image: int = IMAGE_PAGES) -> Td:
        """A TD that was created, with `image` pages of its initial image, and may run."""
        td = Td(self, self._vms.pop())
        td.create(min(image, self.pages) if self.has_image else 0)
        return td

    def release(self, vm: int) -> None:
        """The number of a VM may be used again."""
        self._vms.append(vm)

    def check(self) -> None:
        """Every clause of the properties, on the whole machine."""
        self.machine.check()
        self._checked_at = int(self.machine.books.steps)

    def sample(self) -> None:
        """Notes where the run is; of very many moments every second, fourth, ... is kept."""
        books = self.machine.books
        self.tell(int(books.touched))
        if books.steps - self._checked_at > CHECK_EVERY * self.machine.shape.pages:
            self.check()
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        self.samples.append(Sample(self.machine.now / 1e12, tuple(books.pages), self.machine.seamcalls, int(books.faults)))
        if len(self.samples) >= 2 * SAMPLES:
            del self.samples[1::2]
            self._every *= 2


class Td:
    """A TD on a stage; its vCPUs are numbered on from those of the TD before."""

    def __init__(self, stage: Stage, vm: int) -> None:
        self.stage, self.vm, self.machine = stage, vm, stage.machine
        self.vcpus = [(vm - 1) * stage.vcpus + number for number in range(1, stage.vcpus + 1)]
        self._places: dict[int, int] = {}

    def create(self, image: int) -> None:
        """KVM_CREATE_VM to KVM_TDX_FINALIZE_VM."""
        self._call(kvm_create_vm, self.vm)
        self._call(tdx_td_init, self.vm)
        for vcpu in self.vcpus:
            self._call(kvm_vm_ioctl_create_vcpu, self.vm, vcpu)
            self._call(tdx_vcpu_init, vcpu)
        for first in range(0, image, IMAGE_STEP):
            self._call(tdx_vcpu_init_mem_region, self.vcpus[0], first, min(IMAGE_STEP, image - first), 1)
        self._call(tdx_td_finalize, self.vm)
        self.stage.sample()

    def touch(self, first: int = 0, pages: int | None = None, *, random: bool = False) -> None:
        """The guest touches pages from `first` on, all by default, in order or at random; each vCPU an equal part."""
        whole = self.stage.pages - first if pages is None else pages
        parts = [
            (first + whole * n // len(self.vcpus), first + whole * (n + 1) // len(self.vcpus)) for n in range(len(self.vcpus))
        ]
        modulus = 1 << max(whole - 1, 1).bit_length() if random else 0
        at = [self.stage.seed % modulus if random else 0] * len(parts)
        for done in range(0, max(end - begin for begin, end in parts), PIECE):
            jobs: list[Job] = [
                (vcpu - 1, self.vm, run_guest, (vcpu, begin, end - begin, modulus, at[n], min(PIECE, end - begin - done)))
                for n, (vcpu, (begin, end)) in enumerate(zip(self.vcpus, parts, strict=True))
                if done < end - begin
            ]
            going = [n for n, (begin, end) in enumerate(parts) if done < end - begin]
            for n, place in zip(going, self._run(jobs), strict=True):
                at[n] = place
            self.stage.sample()

    def _run(self, jobs: Sequence[Job]) -> list[int]:
        if len(jobs) == 1:
            thread, vm, process, arguments = jobs[0]
            return [self.machine.run(process, *arguments, vm=vm, thread=thread)]
        return self.machine.race(jobs)

    def give_back(self, first: int, pages: int) -> None:
        """The guest balloons pages out: the VMM punches a hole in guest_memfd."""
        self._call(kvm_gmem_punch_hole, self.vm, first, first + pages - 1)
        self.stage.sample()

    def convert(self, first: int, pages: int, *, shared: bool) -> None:
        """The guest asks for other memory attributes of a range, and the VMM frees what is private no more."""
        self._call(kvm_vm_ioctl_set_mem_attributes, self.vm, first, first + pages - 1, int(shared))
        if shared:
            self._call(kvm_gmem_punch_hole, self.vm, first, first + pages - 1)
        self.stage.sample()

    def destroy(self) -> None:
        """The VMM closes everything, and the VM goes to the last page."""
        for vcpu in self.vcpus:
            self._call(close_vcpu, vcpu)
        self._call(close_vm, self.vm)
        self._call(kvm_destroy_vm, self.vm)
        self.stage.sample()
        self._call(forget_vm, self.vm)
        for vcpu in self.vcpus:
            self._call(forget_vcpu, vcpu)
        self.stage.release(self.vm)
        self.stage.sample()

    def _call(self, process: Callable[..., Any], *arguments: int) -> None:
        error = self.machine.run(process, *arguments, vm=self.vm)
        if error:
            raise Broken(f"{self.machine.model.name}: {process.__name__}() failed with {error}")


def leaked(machine: Machine) -> dict[str, int]:
    """Pages that are not free though no VM is there, by role."""
    return {role.name: machine.pages(role) for role in Role if role is not Role.FREE and machine.pages(role)}
