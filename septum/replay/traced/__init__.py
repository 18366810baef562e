"""The page tables of a kernel at real geometry, as the events of a trace build them: what each says, and when it may come."""
