"""arch/x86/kvm/vmx/tdx.c: the S-EPT behind the mirror, the life of a TD and of its vCPUs, and KVM_RUN."""
