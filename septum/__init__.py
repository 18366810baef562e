"""septum: an executable, checkable model of how KVM manages the private memory of Intel TDX guests.

import septum
assert septum.check("dpamt_merged", "same_gfn").holds
"""

from septum import check as check

__version__ = "0.1.0"
__all__ = ["check"]
