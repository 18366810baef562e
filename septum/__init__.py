"""septum: an executable, checkable model of how KVM manages the private memory of Intel TDX guests."""

__version__ = "0.1.0"
