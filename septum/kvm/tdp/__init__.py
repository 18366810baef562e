"""arch/x86/kvm/mmu/tdp_mmu.c and spte.c: mirror and direct tables, how their entries change, are zapped and split."""
