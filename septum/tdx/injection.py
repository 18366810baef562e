"""SEAMCALLs that fail although nothing is wrong with what they are given: a scenario says which leaves may, and how often.

The caller finds TDX_OPERAND_INVALID, which stands for all that a leaf may answer and no caller tells apart: what it asserts then
is excused. Or it finds TDX_OPERAND_BUSY, where a caller has to live with that, and nothing is excused. The call has no effect.
"""

from septum.host.cpu import just_me
from septum.host.geometry import Cpus
from septum.lang import Struct, Witness, commutes, reached, u8, u64
from septum.tdx.leaves import Leaf
from septum.tdx.status import TDX_OPERAND_BUSY, TDX_OPERAND_INVALID, TDX_SUCCESS, Status

seamcall_failed = Witness("seamcall_failed", "a SEAMCALL was made to fail")


class Injection(Struct):
    """What a scenario lets fail, and what the last call of a thread was told for that reason."""

    left: u8  # calls that may still be made to fail
    leaves: u64  # the leaves that may, a bit each
    status: Status  # TDX_SUCCESS: the last call was not made to fail
    by: Cpus  # who made that call
    busy: u64  # the leaves that may be BUSY, a bit each


def ways(m, leaf: Leaf):
    """In how many ways a call of a leaf goes on: as the module has it, or with a status that is injected."""
    commutes("what the scenario lets fail is no memory of the kernel")
    if m.injection.left == 0 or (m.injection.leaves >> u64(leaf)) & 1 == 0:
        return 1
    return 3 if (m.injection.busy >> u64(leaf)) & 1 == 1 else 2


def fails(m, way: u8):
    """Whether the call that goes on in this way fails; its status is `m.injection.status`."""
    commutes("what the scenario lets fail is no memory of the kernel")
    if way == 0:
        if m.injection.by == just_me():
            m.injection.status = TDX_SUCCESS
            m.injection.by = 0
        return False
    m.injection.left -= 1
    m.injection.status = TDX_OPERAND_INVALID if way == 1 else TDX_OPERAND_BUSY
    m.injection.by = just_me()
    reached(seamcall_failed)
    return True


def was_injected(m, status: Status):
    """Whether this thread has a status that no caller expects only since the scenario made its last call fail."""
    return last_call_failed(m) and m.injection.status == status


def last_call_failed(m):
    """Whether the last call of this thread was made to fail with a status that no caller expects."""
    commutes("what the scenario lets fail is no memory of the kernel")
    return m.injection.status == TDX_OPERAND_INVALID and m.injection.by == just_me()


def leaf_bit(leaf: Leaf) -> int:
    """The bit of a leaf in `Injection.leaves`."""
    return 1 << leaf
