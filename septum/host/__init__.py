"""The host below KVM: page frames and their custody, the allocator, CPU contexts, locks, RCU, kvm_mmu_memory_cache."""
