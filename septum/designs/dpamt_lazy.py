"""Dynamic PAMT before the RFC, abandoned: the host counts nothing and relies on the module's hints; designs.md 4.1."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.kvm.design import Design
from septum.kvm.vmx import pamt_lazy

design = Design("dpamt_lazy", base=dpamt_merged, parts=[pamt_lazy])
