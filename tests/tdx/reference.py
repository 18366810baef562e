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

# 6.1, leaf: the module's level of the entry, then a cell for each state; (run untracked, run tracked, build) where they differ
TABLE = {
    "MEM_SEPT_ADD": (1, ("NL_MAPPED", S, S, S, S, S, S)),
    "MEM_PAGE_AUG": (0, ("PENDING", None, None, S, S, S, S)),
    "MEM_PAGE_AUG 2M": (1, ("PENDING", S, S, S, S, S, S)),
    "MEM_RANGE_BLOCK": (0, (S, None, None, "BLOCKED", AB, "PENDING_BLOCKED", AB)),
    "MEM_RANGE_BLOCK 2M": (1, (S, "NL_BLOCKED", AB, "BLOCKED", AB, "PENDING_BLOCKED", AB)),
    "MEM_RANGE_UNBLOCK": (
        0, (S, None, None, S, (T, "MAPPED", "MAPPED"), S, (T, "PENDING", "PENDING")),
    ),
    "MEM_RANGE_UNBLOCK 2M": (
        1, (S, S, (T, "NL_MAPPED", "NL_MAPPED"), S, (T, "MAPPED", "MAPPED"), S, (T, "PENDING", "PENDING")),
    ),
    "MEM_PAGE_REMOVE": (
        0, (S, None, None, (NB, NB, "FREE"), (T, "FREE", "FREE"), (NB, NB, "FREE"), (T, "FREE", "FREE")),
    ),
    "MEM_PAGE_REMOVE 2M": (
        1, (S, S, S, (NB, NB, "FREE"), (T, "FREE", "FREE"), (NB, NB, "FREE"), (T, "FREE", "FREE")),
    ),
    "MEM_PAGE_RELOCATE": (
        0, (S, None, None, (NB, NB, "MAPPED"), (T, "MAPPED", "MAPPED"), (NB, NB, "PENDING"), (T, "PENDING", "PENDING")),
    ),
    "MEM_PAGE_PROMOTE": (1, (S, (NB, NB, "MAPPED"), (T, "MAPPED", "MAPPED"), S, S, S, S)),
    "MEM_PAGE_DEMOTE": (
        1, (S, S, S, (NB, NB, "NL_MAPPED"), (T, "NL_MAPPED", "NL_MAPPED"), (NB, NB, "NL_MAPPED"), (T, "NL_MAPPED", "NL_MAPPED")),
    ),
    "MEM_SEPT_REMOVE": (1, (S, (NB, NB, "FREE"), (T, "FREE", "FREE"), S, S, S, S)),
    "MEM_SEPT_RD": (0, ("FREE", None, None, "MAPPED", "BLOCKED", "PENDING", "PENDING_BLOCKED")),
    "MEM_SEPT_RD 2M": (1, STATES),
}  # fmt: skip
# 6.1, rows whose leaves are legal before FINALIZE only
BUILD_TABLE = {
    "MEM_PAGE_ADD": (0, ("MAPPED", None, None, S, S, S, S)),
    "MR_EXTEND": (0, (NP, None, None, "MAPPED", NP, NP, NP)),
}  # fmt: skip

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

# 6.3, guest ACCEPT at level 0 (4K), by the entry at 4K; a new state, a status with the level, or EXIT
ACCEPT_4K = {
    "PENDING": "MAPPED", "MAPPED": ("PAGE_ALREADY_ACCEPTED", 0), "FREE": "EXIT", "BLOCKED": "EXIT", "PENDING_BLOCKED": "EXIT",
}  # fmt: skip
# 6.3, guest ACCEPT at level 1 (2M), by the entry at 2M
ACCEPT_2M = {
    "PENDING": "MAPPED", "MAPPED": ("PAGE_ALREADY_ACCEPTED", 1), "NL_MAPPED": ("PAGE_SIZE_MISMATCH", 1),
    "NL_BLOCKED": ("PAGE_SIZE_MISMATCH", 1), "FREE": "EXIT", "BLOCKED": "EXIT", "PENDING_BLOCKED": "EXIT",
}  # fmt: skip
# 6.3, guest ACCEPT at level 0 where the walk stops at 2M
ACCEPT_4K_OF_2M = {
    "MAPPED": ("PAGE_ALREADY_ACCEPTED", 1), "PENDING": "EXIT", "FREE": "EXIT", "NL_BLOCKED": "EXIT", "BLOCKED": "EXIT",
    "PENDING_BLOCKED": "EXIT",
}  # fmt: skip

# 10.2: the op states (0 .. 12) in which each leaf is legal
OP_STATES = {
    "VP_ENTER": {2, 3, 9, 12},
    "MNG_INIT": {0},
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
    "TDR": 128,
    "SEPT_TREE": 146,
    "TD_EPOCH": 169,
    "KOT": 186,
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
