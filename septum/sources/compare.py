"""What became of each function that the model stands for, in a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from septum.sources.citations import Citation
from septum.sources.kept import Kept, Release
from septum.sources.reader import Call, Function, Hashes
from septum.sources.rules import word_set
from septum.sources.tree import Tree, ordered


class State(StrEnum):
    """Of a function in a tree, against the release that the model's docstring names."""

    THERE = "there"
    MOVED = "moved"  # the same text, in another file
    CHANGED = "changed"
    GONE = "gone"
    OVER = "over"  # the docstring says until which release it was there, and it is not
    LOST = "not found"  # the docstring names a release that may have had it, and no kept one since has it
    OLDER = "earlier form"  # the tree is older than the docstring's release: nothing is claimed of it
    NOT_YET = "not yet"
    UNREAD = "not readable"
    NOT_HERE = "not looked at"  # its directory is not in the tree
    UNKEPT = "no hash kept"


DRIFT = frozenset({State.CHANGED, State.GONE, State.UNREAD})
"""States that a maintainer of the model has to look at."""


@dataclass(frozen=True)
class Row:
    """A kernel function, the release for which the model names it, the model's functions, and what became of it.

    `against` is the kept release that it was compared with, the first from the named one on; `changed` says what is not as it was
    (locks, calls, text); `renamed` is a function with the same text; `before` is the file where it was.
    """

    name: str
    release: str
    models: tuple[Citation, ...]
    state: State
    against: str = ""
    changed: tuple[str, ...] = ()
    function: Function | None = None
    renamed: str = ""
    before: str = ""

    @property
    def told(self) -> str:
        """The state with what is known of it."""
        if self.state is State.CHANGED:
            return f"changed: {', '.join(self.changed)}"
        if self.renamed:
            return f"gone: now {self.renamed}"
        if self.state is State.OVER:
            return f"until {self.release}"
        if self.state is State.LOST and self.against:
            return f"not in {self.against}"
        return str(self.state)


def compare(tree: Tree, found: Iterable[Citation], releases: Sequence[Release]) -> list[Row]:
    """A row for each kernel function and release that the model names, in the model's order."""
    groups: dict[tuple[str, str], list[Citation]] = {}
    for citation in found:
        groups.setdefault((citation.name, citation.release), []).append(citation)
    texts = {function.hashes.text: function for functions in tree.functions.values() for function in functions}
    return [_row(tree, name, release, tuple(models), releases, texts) for (name, release), models in groups.items()]


def _row(
    tree: Tree, name: str, release: str, models: tuple[Citation, ...], releases: Sequence[Release], texts: dict[str, Function]
) -> Row:
    later = [one for one in releases if ordered(one.name) >= ordered(release)]
    base = next((one for one in later if name in one.functions), None)
    was = base.functions[name] if base else None
    function = tree.function(name, was.file if was else "")
    state = _state(tree, name, release, function, was, all(one.over for one in models))
    changed = _changed(function.hashes, was.hashes) if state is State.CHANGED and function and was else ()
    renamed = texts[was.hashes.text].name if state is State.GONE and was and was.hashes.text in texts else ""
    against = (base or later[0]).name if base or later else ""
    return Row(name, release, models, state, against, changed, function, renamed, was.file if was else "")


def _state(tree: Tree, name: str, release: str, function: Function | None, was: Kept | None, over: bool) -> State:
    older = bool(tree.release) and ordered(tree.release) < ordered(release)
    if older:
        same = function is not None and was is not None and function.hashes.text == was.hashes.text
        return State.THERE if same else State.OLDER if function else State.NOT_YET
    if function is None:
        if name in tree.unread:
            return State.UNREAD
        if was is None:
            return State.OVER if over else State.LOST
        return State.GONE if tree.has(was.file) else State.NOT_HERE
    if was is None:
        return State.UNKEPT
    if function.hashes.text != was.hashes.text:
        return State.CHANGED
    return State.THERE if function.file == was.file else State.MOVED


def _changed(now: Hashes, was: Hashes) -> tuple[str, ...]:
    """What is not as it was: locks, calls, or no more than the text between them."""
    parts = [part for part in ("locks", "calls") if getattr(now, part) != getattr(was, part)]
    return tuple(parts) or ("text",)


EVERYDAY = word_set(
    "likely unlikely min max min_t max_t clamp container_of READ_ONCE WRITE_ONCE WARN_ON WARN_ON_ONCE KVM_MMU_WARN_ON"
    " BUILD_BUG_ON ARRAY_SIZE BIT BIT_ULL GENMASK GENMASK_ULL IS_ENABLED ALIGN ALIGN_DOWN IS_ALIGNED rcu_dereference"
    " rcu_dereference_check smp_rmb smp_wmb smp_mb smp_store_release smp_load_acquire lockdep_is_held memset memcpy"
    " pr_err pr_warn pr_err_ratelimited IS_ERR PTR_ERR ERR_PTR BUG_ON BUG WARN KVM_BUG_ON KVM_BUG test_bit set_bit"
    " clear_bit fallthrough sizeof"
)
"""Words that every function of the kernel calls, and that the model writes as Python."""


def unknown(function: Function, known: frozenset[str]) -> tuple[Call, ...]:
    """What a function calls that the model does not know, in order: no lock, no everyday word, nothing that it names."""
    return tuple(call for call in function.calls if not call.locks and _plain(call.name) not in known | EVERYDAY)


def _plain(name: str) -> str:
    """`kvm_x86_call(op)` as op."""
    return name.partition("(")[2].rstrip(")") or name.lstrip(".")
