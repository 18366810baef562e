"""The sizes of the module beyond those of the host: what is in the model, and how wide its counters are.

WHOLE 0 is the module inside of a machine whose KVM is modelled too: as much of it as KVM's interleavings can tell apart.
WHOLE 1 is the module alone behind its registers. It is the same code: what only the second needs stands behind `if WHOLE`.
"""

from septum.host.geometry import ENTRIES, LEVELS, PAGES
from septum.host.geometry import EPOCH_BITS as EPOCH_BITS
from septum.host.geometry import Epoch as Epoch
from septum.lang import Index, Size
from septum.lang.types import Unsigned
from septum.tdx.versions import MAX_TDCX as MAX_TDCX  # a TDCS is as large as its version says
from septum.tdx.versions import MIN_TDCX as MIN_TDCX
from septum.tdx.versions import SEPT_ROOT_TDCX as SEPT_ROOT_TDCX

WHOLE = Size("WHOLE", 0)
BUILDS = Size("BUILDS", 0)  # in a machine: TDs and vCPUs are created, built and torn down; 0: they run from the start
PENDING_VE_DISABLE = Size("PENDING_VE_DISABLE", 0)  # in a machine, of its TDs: a PENDING page is the host's business, and no #VE
MOVES = Size("MOVES", 0)  # in a machine: vCPUs are run on several CPUs
COUNT_BITS = Size("COUNT_BITS", 16)

FEWEST_LEVELS = Size("FEWEST_LEVELS", LEVELS)  # that a Secure EPT may have; LEVELS is the most
NARROW_GFNS = Size("NARROW_GFNS", 1 << 35)  # private pages of a TD whose shared bit is 47
HKIDS = Size("HKIDS", 64)
FIRST_HKID = Size("FIRST_HKID", 32)  # the private ones begin here; those below are for MKTME
PACKAGES = Size("PACKAGES", 2)
CMRS = Size("CMRS", 32)
TDMRS = Size("TDMRS", 64)
RESERVED_AREAS = Size("RESERVED_AREAS", 16)
MIN_TDVPX = Size("MIN_TDVPX", 6)  # pages of a TDVPS, the TDVPR counted
MAX_TDVPX = Size("MAX_TDVPX", 15)
TLB_ENTRIES = Size("TLB_ENTRIES", 16)  # translations that a logical processor can cache
STEPPED_GPAS = Size("STEPPED_GPAS", 32)  # GPAs that the zero-step log remembers, tdx-module.md 9.3
STEPPED_FAULTS = Size("STEPPED_FAULTS", 6)  # faults at one RIP after which it begins
GIGS = Size("GIGS", lambda: max(PAGES.value // ENTRIES.value // ENTRIES.value, 1))
# pages that a TDMR.INIT prepares, 4 MiB (tdx-module.md 2.1), and four times as many with Dynamic PAMT; no more than a 1G block
PAMT_INIT_PAGES = Size("PAMT_INIT_PAGES", lambda: min(2 * ENTRIES.value, ENTRIES.value * ENTRIES.value // 4))

Gig = Index("Gig", GIGS)  # 1G physical regions, the blocks of TDMRs
Hkid = Index("Hkid", HKIDS)
Package = Index("Package", PACKAGES)
PageCount = Unsigned("PageCount", COUNT_BITS)
