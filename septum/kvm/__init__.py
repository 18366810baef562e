"""KVM: SPTEs, faults, map, link, zap, split, guest_memfd, VM life cycle, and the operations of a design; kvm-mmu.md.

Its rooms are parts of the kernel. A module may be named without its room: `septum.kvm.pamt` is `septum.kvm.seam.pamt`.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOMS = ("seam", "tdp", "virt", "mmu", "vmx", "x86")


class _InItsRoom(MetaPathFinder, Loader):
    """Finds `septum.kvm.NAME`, where no such file is, in the room that has it: the same module, under both names."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        room = next((room for room in ROOMS if (Path(__file__).parent / room / f"{name}.py").is_file()), None)
        return ModuleSpec(fullname, self, origin=f"{package}.{room}.{name}") if package == __name__ and room else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(spec.origin or "")
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


sys.meta_path.append(_InItsRoom())
