"""The TDX module: PAMT, Secure EPT, SEAMCALL and TDCALL leaves, TLB tracking; tdx-module.md."""
