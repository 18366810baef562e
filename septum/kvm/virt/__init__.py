"""virt/kvm: guest_memfd, memory attributes, MMU notifiers, and memslots as they change."""
