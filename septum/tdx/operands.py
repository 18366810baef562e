"""Operand ids, tdx-module.md 1.3: what a status says in its low 32 bits of the operand that it is about."""

RAX, RCX, RDX, RBX, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13 = 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13
TDMR_INFO = 96
TDR = 128
SEPT_TREE = 146
TD_EPOCH = 169
OP_STATE = 172
SYS, TDMR = 184, 185
KOT, KET, WBCACHE = 186, 187, 188

NAMES = {
    RAX: "RAX", RCX: "RCX", RDX: "RDX", RBX: "RBX", RBP: "RBP", RSI: "RSI", RDI: "RDI", R8: "R8", R9: "R9", R10: "R10",
    R11: "R11", R12: "R12", R13: "R13", 14: "R14", 15: "R15", 95: "PAGE", TDMR_INFO: "TDMR_INFO", TDR: "TDR", 129: "TDCX",
    130: "TDVPR", 144: "TDCS", 145: "TDVPS", SEPT_TREE: "SEPT tree", 147: "SEPT entry", TD_EPOCH: "TD epoch",
    OP_STATE: "OP_STATE", SYS: "SYS", TDMR: "TDMR", KOT: "KOT", KET: "KET", WBCACHE: "WBCACHE",
}  # fmt: skip
