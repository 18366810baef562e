"""KVM: SPTEs, faults, map, link, zap, split, guest_memfd, VM life cycle, and the operations of a design; kvm-mmu.md."""
