"""Tables of reference/tdx-module.md, typed from it and from nothing else; the tests compare the emulator with them.

A cell of TABLE is a status or the state that the entry has afterwards. Where the op state matters, `run` is one in which TLB
tracking is required and `build` one in which it is not; "untracked" and "tracked" tell the same cell before and after a
TRACK that nobody holds back.
"""

from __future__ import annotations

S = "EPT_ENTRY_STATE_INCORRECT"  # !S
NB = "GPA_RANGE_NOT_BLOCKED"  # !NB
T = "TLB_TRACKING_NOT_DONE"  # !T
AB = "GPA_RANGE_ALREADY_BLOCKED"
NP = "EPT_ENTRY_NOT_PRESENT"  # *4

STATES = ("FREE", "NL_MAPPED", "NL_BLOCKED", "MAPPED", "BLOCKED", "PENDING", "PENDING_BLOCKED")
BLOCKED_STATES = ("NL_BLOCKED", "BLOCKED", "PENDING_BLOCKED")

# 6.1: leaf and the module's levels of the entry, then a cell for each state; (run untracked, run tracked, build) where they
# differ. A leaf of 4K has no table below it, and one of 512G or more there is none: None.
LEAF_FREED = ((NB, NB, "FREE"), (T, "FREE", "FREE"), (NB, NB, "FREE"), (T, "FREE", "FREE"))
TABLE = {
    ("MEM_SEPT_ADD", (1, 2)): ("NL_MAPPED", S, S, S, S, S, S),
    ("MEM_SEPT_ADD", (3,)): ("NL_MAPPED", S, S, None, None, None, None),
    ("MEM_PAGE_AUG", (0,)): ("PENDING", None, None, S, S, S, S),
    ("MEM_PAGE_AUG", (1,)): ("PENDING", S, S, S, S, S, S),
    ("MEM_RANGE_BLOCK", (0,)): (S, None, None, "BLOCKED", AB, "PENDING_BLOCKED", AB),
    ("MEM_RANGE_BLOCK", (1, 2)): (S, "NL_BLOCKED", AB, "BLOCKED", AB, "PENDING_BLOCKED", AB),
    ("MEM_RANGE_BLOCK", (3,)): (S, "NL_BLOCKED", AB, None, None, None, None),
    ("MEM_RANGE_UNBLOCK", (0,)): (S, None, None, S, (T, "MAPPED", "MAPPED"), S, (T, "PENDING", "PENDING")),
    ("MEM_RANGE_UNBLOCK", (1, 2)): (
        S, S, (T, "NL_MAPPED", "NL_MAPPED"), S, (T, "MAPPED", "MAPPED"), S, (T, "PENDING", "PENDING"),
    ),
    ("MEM_RANGE_UNBLOCK", (3,)): (S, S, (T, "NL_MAPPED", "NL_MAPPED"), None, None, None, None),
    ("MEM_PAGE_REMOVE", (0,)): (S, None, None, *LEAF_FREED),
    ("MEM_PAGE_REMOVE", (1, 2)): (S, S, S, *LEAF_FREED),
    ("MEM_PAGE_RELOCATE", (0,)): (
        S, None, None, (NB, NB, "MAPPED"), (T, "MAPPED", "MAPPED"), (NB, NB, "PENDING"), (T, "PENDING", "PENDING"),
    ),
    ("MEM_PAGE_PROMOTE", (1, 2)): (S, (NB, NB, "MAPPED"), (T, "MAPPED", "MAPPED"), S, S, S, S),
    ("MEM_PAGE_DEMOTE", (1, 2)): (
        S, S, S, (NB, NB, "NL_MAPPED"), (T, "NL_MAPPED", "NL_MAPPED"), (NB, NB, "NL_MAPPED"), (T, "NL_MAPPED", "NL_MAPPED"),
    ),
    ("MEM_SEPT_REMOVE", (1, 2)): (S, (NB, NB, "FREE"), (T, "FREE", "FREE"), S, S, S, S),
    ("MEM_SEPT_REMOVE", (3,)): (S, (NB, NB, "FREE"), (T, "FREE", "FREE"), None, None, None, None),
    ("MEM_SEPT_RD", (0,)): ("FREE", None, None, "MAPPED", "BLOCKED", "PENDING", "PENDING_BLOCKED"),
    ("MEM_SEPT_RD", (1, 2)): STATES,
    ("MEM_SEPT_RD", (3,)): ("FREE", "NL_MAPPED", "NL_BLOCKED", None, None, None, None),
}  # fmt: skip
# 6.1, rows whose leaves are legal before FINALIZE only
BUILD_TABLE = {
    ("MEM_PAGE_ADD", (0,)): ("MAPPED", None, None, S, S, S, S),
    ("MR_EXTEND", (0,)): (NP, None, None, "MAPPED", NP, NP, NP),
    ("MR_EXTEND", (1, 2)): (NP, None, NP, "MAPPED", NP, NP, NP),
}
# 6.1: what the children of a large leaf are after DEMOTE
CHILDREN = {"MAPPED": "MAPPED", "BLOCKED": "MAPPED", "PENDING": "PENDING", "PENDING_BLOCKED": "PENDING"}

# 5.2: the reported state (RDX 15:8), and the entry as 5.1 gives it, without its page
REPORTED = {
    "FREE": 0x00,
    "NL_MAPPED": 0x84,
    "NL_BLOCKED": 0x81,
    "MAPPED": 0x04,
    "BLOCKED": 0x01,
    "PENDING": 0x02,
    "PENDING_BLOCKED": 0x03,
}
# 5.2: PS, IPAT, TDP, TDB, TDBW, TDEX, D (entry bits 7, 6, 56, 55, 54, 53, 9)
ENCODING = {
    "FREE": 0x0E,
    "NL_MAPPED": 0x00,
    "NL_BLOCKED": 0x08,
    "MAPPED": 0x60,
    "BLOCKED": 0x68,
    "PENDING": 0x70,
    "PENDING_BLOCKED": 0x78,
}
ENCODING_BITS = (7, 6, 56, 55, 54, 53, 9)
# 5.4: RCX of extended information without the page
EXTENDED = {
    "FREE": 1 << 63, "NL_MAPPED": 0x407, "NL_BLOCKED": 0, "MAPPED": 1 << 63 | 0x4F7, "BLOCKED": 1 << 63 | 0xF0,
    "PENDING": 1 << 63 | 0xF0, "PENDING_BLOCKED": 1 << 63 | 0xF0,
}  # fmt: skip
EXTENDED_STATUSES = (S, NB, AB, "EPT_WALK_FAILED", "EPT_PAGE_NOT_FREE", "EPT_INVALID_PROMOTE_CONDITIONS", "EPT_ENTRY_NOT_PRESENT")

# 6.3, 11.2, 9.2: what the guest's leaf or access finds at a level; the level asked for, and that of the entry. A new state, OK, a
# status with the level, VE, or EXIT, whose extended exit qualification has the type of EXIT_TYPES.
ALREADY, MISMATCH = "PAGE_ALREADY_ACCEPTED", "PAGE_SIZE_MISMATCH"
GUEST = {
    ("ACCEPT", 0, 0): ("EXIT", None, None, (ALREADY, 0), "EXIT", "MAPPED", "EXIT"),
    ("ACCEPT", 1, 1): ("EXIT", (MISMATCH, 1), (MISMATCH, 1), (ALREADY, 1), "EXIT", "MAPPED", "EXIT"),
    ("ACCEPT", 0, 1): ("EXIT", None, "EXIT", (ALREADY, 1), "EXIT", "EXIT", "EXIT"),
    ("ACCEPT", 0, 2): ("EXIT", None, "EXIT", (ALREADY, 2), "EXIT", "EXIT", "EXIT"),
    ("ACCEPT", 1, 2): ("EXIT", None, "EXIT", (ALREADY, 2), "EXIT", "EXIT", "EXIT"),
    ("ATTR_WR", 0, 0): ("EXIT", None, None, "OK", "EXIT", "OK", "EXIT"),
    ("ATTR_WR", 1, 1): ("EXIT", (MISMATCH, 1), (MISMATCH, 1), "OK", "EXIT", "OK", "EXIT"),
    ("ATTR_WR", 0, 1): ("EXIT", None, "EXIT", "EXIT", "EXIT", "EXIT", "EXIT"),
    ("ATTR_RD", 0, 0): ("EXIT", None, None, "OK", "EXIT", "OK", "EXIT"),
    ("ATTR_RD", 0, 1): ("EXIT", None, "EXIT", "OK", "EXIT", "OK", "EXIT"),
    ("access", 0, 0): ("EXIT", None, None, "OK", "EXIT", "VE", "EXIT"),
    ("access", 0, 1): ("EXIT", None, "EXIT", "OK", "EXIT", "VE", "EXIT"),
    ("access", 0, 2): ("EXIT", None, "EXIT", "OK", "EXIT", "VE", "EXIT"),
}
EXIT_TYPES = {"ACCEPT": 1, "ATTR_WR": 5}  # an access and ATTR.RD say nothing more

# 10.2: the op states (0 .. 12) in which each leaf is legal
OP_STATES = {
    "VP_ENTER": {2, 3, 9, 12},
    "MNG_ADDCX": {0}, "MNG_INIT": {0},
    "MEM_PAGE_ADD": {1}, "MR_EXTEND": {1}, "MR_FINALIZE": {1}, "VP_INIT": {1},
    "MEM_SEPT_ADD": {1, 2, 3, 6, 7, 8, 9, 12},
    "VP_ADDCX": {1, 7}, "VP_CREATE": {1, 7},
    "MEM_PAGE_RELOCATE": {1, 2, 3, 4, 5, 8, 9, 12}, "MEM_PAGE_PROMOTE": {1, 2, 3, 4, 5, 8, 9, 12},
    "MEM_PAGE_DEMOTE": {1, 2, 3, 4, 5, 8, 9, 12},
    "MEM_PAGE_AUG": {1, 2, 3, 9, 12},
    "MEM_RANGE_BLOCK": {1, 2, 3, 4, 5, 8, 9, 12}, "MEM_RANGE_UNBLOCK": {1, 2, 3, 4, 5, 8, 9, 12},
    "MEM_SEPT_RD": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12}, "MEM_SEPT_REMOVE": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12},
    "MEM_PAGE_REMOVE": {1, 2, 3, 4, 5, 8, 9, 10, 12},
    "MEM_TRACK": {1, 2, 3, 4, 5, 6, 7, 8, 9, 12},
    "VP_FLUSH": set(range(13)),
}  # fmt: skip
# 10.2 again, 8: op states in which tracking is required
TRACKING_REQUIRED = {2, 3, 9, 12}

# 10.1, 7.14, 7.16, 7.17: what each leaf says in the four life-cycle states; a status, or OK where the life cycle allows it
LIFECYCLE = ("HKID_ASSIGNED", "KEYS_CONFIGURED", "BLOCKED", "TEARDOWN")
NO_KEYS, WRONG = "TD_KEYS_NOT_CONFIGURED", "LIFECYCLE_STATE_INCORRECT"
ALIVE = (
    "MNG_ADDCX", "MNG_INIT", "MEM_PAGE_ADD", "MEM_SEPT_ADD", "MEM_PAGE_RELOCATE", "MEM_PAGE_AUG", "MEM_RANGE_BLOCK",
    "MEM_PAGE_DEMOTE", "MR_EXTEND", "MR_FINALIZE", "MEM_PAGE_PROMOTE", "MEM_SEPT_RD", "MEM_PAGE_REMOVE", "MEM_SEPT_REMOVE",
    "MEM_TRACK", "MEM_RANGE_UNBLOCK", "VP_CREATE", "VP_ADDCX", "VP_INIT", "VP_ENTER", "VP_FLUSH",
)  # fmt: skip
LIFECYCLE_TABLE = {
    **dict.fromkeys(ALIVE, (NO_KEYS, "OK", NO_KEYS, NO_KEYS)),
    "MNG_KEY_CONFIG": ("OK", WRONG, WRONG, WRONG),
    "MNG_VPFLUSHDONE": ("OK", "OK", WRONG, WRONG),
    "MNG_KEY_FREEID": (WRONG, WRONG, "OK", WRONG),
    "PHYMEM_PAGE_RECLAIM": (WRONG, WRONG, WRONG, "OK"),
}  # fmt: skip

# 4.3, 7.14, 7.15: leaves that do not ask whether the TD is dead, or whether it has its TDCS pages
NOT_FATAL = ("VP_FLUSH",)
WITHOUT_TDCS = ("VP_FLUSH", "MNG_ADDCX")

# 4.4: the levels that each leaf takes; "root" is the level of the root, page-walk length minus one
LEVELS = {
    "MEM_PAGE_ADD": (0, 0), "MEM_PAGE_RELOCATE": (0, 0), "MEM_PAGE_AUG": (0, 1), "MEM_PAGE_REMOVE": (0, 2),
    "MEM_PAGE_PROMOTE": (1, 2), "MEM_PAGE_DEMOTE": (1, 2), "MEM_RANGE_BLOCK": (0, "root"), "MEM_RANGE_UNBLOCK": (0, "root"),
    "MEM_SEPT_RD": (0, "root"), "MEM_SEPT_ADD": (1, "root"), "MEM_SEPT_REMOVE": (1, "root"),
}  # fmt: skip

# 1.3
OPERANDS = {
    "RAX": 0,
    "RCX": 1,
    "RDX": 2,
    "R8": 8,
    "R9": 9,
    "R12": 12,
    "R13": 13,
    "TDMR_INFO": 96,
    "TDR": 128,
    "SEPT_TREE": 146,
    "TD_EPOCH": 169,
    "OP_STATE": 172,
    "TDMR": 185,
    "KOT": 186,
    "KET": 187,
    "WBCACHE": 188,
}

# 16
LEAF_NUMBERS = {
    "VP_ENTER": 0, "MNG_ADDCX": 1, "MEM_PAGE_ADD": 2, "MEM_SEPT_ADD": 3, "VP_ADDCX": 4, "MEM_PAGE_RELOCATE": 5, "MEM_PAGE_AUG": 6,
    "MEM_RANGE_BLOCK": 7, "MNG_KEY_CONFIG": 8, "MNG_CREATE": 9, "VP_CREATE": 10, "MEM_PAGE_DEMOTE": 15, "MR_EXTEND": 16,
    "MR_FINALIZE": 17, "VP_FLUSH": 18, "MNG_VPFLUSHDONE": 19, "MNG_KEY_FREEID": 20, "MNG_INIT": 21, "VP_INIT": 22,
    "MEM_PAGE_PROMOTE": 23, "PHYMEM_PAGE_RDMD": 24, "MEM_SEPT_RD": 25, "PHYMEM_PAGE_RECLAIM": 28, "MEM_PAGE_REMOVE": 29,
    "MEM_SEPT_REMOVE": 30, "SYS_KEY_CONFIG": 31, "SYS_INFO": 32, "SYS_INIT": 33, "SYS_RD": 34, "SYS_LP_INIT": 35,
    "SYS_TDMR_INIT": 36,
    "MEM_TRACK": 38, "MEM_RANGE_UNBLOCK": 39, "PHYMEM_CACHE_WB": 40, "PHYMEM_PAGE_WBINVD": 41, "SYS_CONFIG": 45,
    "PHYMEM_PAMT_ADD": 58, "PHYMEM_PAMT_REMOVE": 59,
}  # fmt: skip

# 1.2: RAX without its low bits
CODES = {
    "SUCCESS": 0x0000000000000000,
    "NON_RECOVERABLE_VCPU": 0x4000000100000000,
    "NON_RECOVERABLE_TD": 0x6000000200000000,
    "INTERRUPTED_RESUMABLE": 0x8000000300000000,
    "INTERRUPTED_RESTARTABLE": 0x8000000400000000,
    "OPERAND_INVALID": 0xC000010000000000,
    "OPERAND_ADDR_RANGE_ERROR": 0xC000010100000000,
    "OPERAND_BUSY": 0x8000020000000000,
    "PREVIOUS_TLB_EPOCH_BUSY": 0x8000020100000000,
    "SYS_BUSY": 0x8000020200000000,
    "RND_NO_ENTROPY": 0x8000020300000000,
    "OPERAND_BUSY_HOST_PRIORITY": 0x8000020400000000,
    "HOST_PRIORITY_BUSY_TIMEOUT": 0x9000020500000000,
    "PAGE_METADATA_INCORRECT": 0xC000030000000000,
    "PAGE_ALREADY_FREE": 0x0000030100000000,
    "PAGE_NOT_OWNED_BY_TD": 0xC000030200000000,
    "PAGE_NOT_FREE": 0xC000030300000000,
    "HPA_RANGE_NOT_FREE": 0xC000030400000000,
    "NO_PAMT_PAGE_PAIR": 0xC000030500000000,
    "PAMT_PAGE_NOT_EMPTY": 0xC000030600000000,
    "INTERRUPTED_PAMT": 0x8000030700000000,
    "MISSING_PAMT_PAGE_PAIR": 0x8000030800000000,
    "TD_ASSOCIATED_PAGES_EXIST": 0xC000040000000000,
    "SYS_NOT_READY": 0xC000050500000000,
    "SYS_SHUTDOWN": 0xC000050600000000,
    "SYS_CONFIG_NOT_PENDING": 0xC000050C00000000,
    "TD_FATAL": 0xE000060400000000,
    "TDCS_NOT_ALLOCATED": 0xC000060600000000,
    "LIFECYCLE_STATE_INCORRECT": 0xC000060700000000,
    "OP_STATE_INCORRECT": 0xC000060800000000,
    "NO_VCPUS": 0xC000060900000000,
    "TDCX_NUM_INCORRECT": 0xC000061000000000,
    "X2APIC_ID_NOT_UNIQUE": 0xC000062100000000,
    "VCPU_STATE_INCORRECT": 0xC000070000000000,
    "VCPU_ASSOCIATED": 0x8000070100000000,
    "VCPU_NOT_ASSOCIATED": 0x8000070200000000,
    "MAX_VCPUS_EXCEEDED": 0xC000070500000000,
    "TSC_ROLLBACK": 0xC000070600000000,
    "KEY_GENERATION_FAILED": 0x8000080000000000,
    "TD_KEYS_NOT_CONFIGURED": 0x8000081000000000,
    "KEY_STATE_INCORRECT": 0xC000081100000000,
    "KEY_CONFIGURED": 0x0000081500000000,
    "WBCACHE_NOT_COMPLETE": 0x8000081700000000,
    "HKID_NOT_FREE": 0xC000082000000000,
    "NO_HKID_READY_TO_WBCACHE": 0x0000082100000000,
    "WBCACHE_RESUME_ERROR": 0xC000082300000000,
    "FLUSHVP_NOT_DONE": 0x8000082400000000,
    "INVALID_TDMR": 0xC0000A0000000000,
    "NON_ORDERED_TDMR": 0xC0000A0100000000,
    "TDMR_OUTSIDE_CMRS": 0xC0000A0200000000,
    "TDMR_ALREADY_INITIALIZED": 0x00000A0300000000,
    "INVALID_PAMT": 0xC0000A1000000000,
    "PAMT_OUTSIDE_CMRS": 0xC0000A1100000000,
    "PAMT_OVERLAP": 0xC0000A1200000000,
    "INVALID_RESERVED_IN_TDMR": 0xC0000A2000000000,
    "NON_ORDERED_RESERVED_IN_TDMR": 0xC0000A2100000000,
    "EPT_WALK_FAILED": 0xC0000B0000000000,
    "EPT_ENTRY_NOT_PRESENT": 0xC0000B0300000000,
    "GPA_RANGE_NOT_BLOCKED": 0xC0000B0600000000,
    "GPA_RANGE_ALREADY_BLOCKED": 0x00000B0700000000,
    "TLB_TRACKING_NOT_DONE": 0xC0000B0800000000,
    "EPT_INVALID_PROMOTE_CONDITIONS": 0xC0000B0900000000,
    "PAGE_ALREADY_ACCEPTED": 0x00000B0A00000000,
    "PAGE_SIZE_MISMATCH": 0xC0000B0B00000000,
    "EPT_ENTRY_STATE_INCORRECT": 0xC0000B0D00000000,
    "EPT_PAGE_NOT_FREE": 0xC0000B0E00000000,
    "L2_SEPT_WALK_FAILED": 0xC0000B0F00000000,
    "L2_SEPT_ENTRY_NOT_FREE": 0xC0000B1000000000,
    "L2_SEPT_PAGE_NOT_PROVIDED": 0xC0000B1200000000,
}
