"""Dynamic PAMT v5, "alt" whose reclaim only puts: KVM frees S-EPT pages like tables, in the callback; designs.md 5.7.4."""

from septum.designs.dpamt_v5_alt import design as dpamt_v5_alt
from septum.kvm.design import Design
from septum.kvm.vmx import reclaim_put

design = Design("dpamt_v5_put_only", base=dpamt_v5_alt, parts=[reclaim_put])
