"""arch/x86/kvm/x86.c and the ioctls of virt/kvm/kvm_main.c: what userspace calls, and how a VM ends."""
