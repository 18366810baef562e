"""What must hold. Many clauses stand in the model, at the step that could break them; here are those on whole states."""

from septum.lang import Property
from septum.properties.agreement import agreement
from septum.properties.backing import backing, backing_at_rest
from septum.properties.custody import custody, custody_at_rest
from septum.properties.direct import accounting, dirty_log, invalidation, mmio, roots, translation
from septum.properties.protocol import poison, protocol

PROPERTIES = (
    Property("custody", "a page has one holder; none is freed twice, used after free, freed while the module holds it", custody),
    Property("context", "nothing that may sleep runs under a spinning lock, in RCU or softirq; only holders release locks"),
    Property("provision", "no cache runs dry under the lock, no pair is missing that a top-up promised"),
    Property("agreement", "mirror and S-EPT entries say the same, unless FROZEN or mmu_lock is held for write", agreement),
    Property("initial value", "no walker reads an entry that only the allocator wrote, unless it is SHADOW_NONPRESENT_VALUE"),
    Property("backing", "a page given at 4K has its PAMT pair; a pair is removed only when unused", backing),
    Property("backing", "at rest: the refcount of a range equals its users", backing_at_rest, at_rest=True),
    Property("custody", "at rest: no page is lost, and all are free when the VM is gone", custody_at_rest, at_rest=True),
    Property("asserts", "no KVM_BUG_ON or WARN_ON is reached, no SEAMCALL answers what its caller does not expect"),
    Property("scope", "the sizes of the scenario suffice"),
)

KVM_PROPERTIES = (
    *PROPERTIES,
    Property("translation", "no vCPU and no direct tree translates to a page that the host took away", translation),
    Property("protocol", "vCPUs are kept out, and prefaults let in, when they may be", protocol),
    Property("tlb", "no page is the host's again while a vCPU may still have a translation of it"),
    Property("contents", "no private data go without somebody asking, and no page goes with lines of a private key in caches"),
    Property("rcu", "no table is looked into after the grace period that follows its call_rcu()"),
    Property("roots", "a root that a vCPU has, and one that is valid, has references", roots),
    Property("accounting", "page statistics and counted tables are those that a walk finds", accounting),
    Property("mmio", "no MMIO SPTE of the current generation lies where a memslot is", mmio),
    Property("invalidation", "at rest: every invalidation that began has ended", invalidation, at_rest=True),
    Property("poison", "at rest: nothing maps a page whose memory failed", poison, at_rest=True),
    Property("dirty log", "no write of the guest is lost from the dirty log", dirty_log, at_rest=True),
)
