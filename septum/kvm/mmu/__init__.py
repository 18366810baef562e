"""arch/x86/kvm/mmu/mmu.c: faults, from the topped-up caches to the map, and the roots that a vCPU loads."""
