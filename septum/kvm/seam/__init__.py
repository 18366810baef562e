"""arch/x86/virt/vmx/tdx: Dynamic PAMT, a reference to a pair for each page that the TDX module is given."""
