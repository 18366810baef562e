"""KVM: SPTEs, faults, map, link, zap, split, guest_memfd, VM life cycle, and the operations that a design fills in; kvm-mmu.md."""
