"""The memory model: sequential consistency or, with MEMORY 1, x86-TSO: a store buffer for each thread.

A store of a place that another thread touches too goes into the buffer of its thread, which reads its own newest store there;
the memory takes the stores of a thread one by one, in their order, at any time. x86-TSO is that of Owens, Sarkar and Sewell, "A
better x86 memory model: x86-TSO", TPHOLs 2009.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from septum.lang.errors import UserError
from septum.lang.processes import Witness, running
from septum.lang.types import Size

MODELS = {"sc": 0, "x86-tso": 1}
"""The names of the memory models, and the value of MEMORY for each."""

MEMORY = Size("MEMORY", 0)
STORE_BUFFER = Size("STORE_BUFFER", 4)  # how many stores a buffer has room for; the next one waits until the memory took one

MOST_STORES = 64

BOUND_MET = Witness("store_buffer_full", "a store waited, as the buffer of its thread was full")

STORE_BYTES = 12
"""What a store takes in a state: its offset in the world, in 4 bytes, and its value, in 8."""

USED_BYTES = 4
"""What the number of stores in a buffer takes in a state, in front of them."""


def memory_sizes(memory: str, room: int | None = None) -> dict[str, int | None]:
    """The sizes by name that a memory model comes to, with buffers that have room for so many stores; UserError for others."""
    if memory not in MODELS:
        raise UserError(f"there is no memory model {memory}; there are {', '.join(MODELS)}")
    if not MODELS[memory]:
        if room is not None:
            raise UserError(f"a store buffer of {room}: {memory} has none; x86-tso has")
        return {}
    return {MEMORY.name: MODELS[memory], STORE_BUFFER.name: room}


def stores() -> int:
    """How many stores a buffer has room for in this scope; 0 where there are no buffers."""
    if not MEMORY.value:
        return 0
    if not 1 <= STORE_BUFFER.value <= MOST_STORES:
        raise UserError(f"a store buffer of {STORE_BUFFER.value}: 1 to {MOST_STORES} stores are possible")
    return STORE_BUFFER.value


def buffer_bytes(room: int) -> int:
    """The bytes of a buffer in a state."""
    return USED_BYTES + room * STORE_BYTES if room else 0


@dataclass
class StoreBuffers:
    """The buffers of the threads of one run, in the Python engine; `m` is the world at `base`, whose bytes are `memory`.

    `buffered` has, for each byte of the world, the size of the scalar that begins there if its stores are buffered, else 0.
    """

    room: int
    buffered: bytes
    memory: memoryview
    base: int
    queues: list[list[tuple[int, int]]] = field(default_factory=list)

    def pending(self, thread: int) -> bool:
        """Whether a thread has stores that the memory has not taken."""
        return bool(self.queues[thread])

    def load(self, address: int) -> int | None:
        """What the thread that runs stored last in a place; None where it is to read the memory."""
        offset = address - self.base
        return next((value for place, value in reversed(self.queues[running.thread]) if place == offset), None)

    def store(self, address: int, value: int) -> bool:
        """Keeps a store; False if it is one that goes to the memory at once."""
        offset, queue = address - self.base, self.queues[running.thread]
        if not self.buffered[offset]:
            return False
        if len(queue) == self.room:
            running.reached.add(BOUND_MET)
            self.take(running.thread)
        queue.append((offset, value))
        return True

    def take(self, thread: int) -> None:
        """The memory takes the oldest store of a thread."""
        offset, value = self.queues[thread].pop(0)
        size = self.buffered[offset]
        self.memory[offset : offset + size] = value.to_bytes(size, "little")

    def drain(self) -> None:
        """The memory takes all stores of the thread that runs."""
        while self.queues[running.thread]:
            self.take(running.thread)

    def state(self) -> bytes:
        """The buffers as a state has them."""
        return b"".join(map(self._buffer, self.queues))

    def _buffer(self, queue: list[tuple[int, int]]) -> bytes:
        kept = b"".join(offset.to_bytes(4, "little") + value.to_bytes(8, "little") for offset, value in queue)
        return (len(queue).to_bytes(USED_BYTES, "little") + kept).ljust(buffer_bytes(self.room), b"\0")


def drain() -> None:
    """The memory takes all stores of the thread that runs; words.py says it, and no model."""
    if running.buffers:
        running.buffers.drain()


def loaded(address: int) -> Any:
    """What the thread that runs reads in a place from its own buffer; None where it is to read the memory."""
    return running.buffers.load(address) if running.buffers else None


def kept(address: int, value: int) -> bool:
    """Whether a store of the thread that runs went into its buffer."""
    return running.buffers is not None and running.buffers.store(address, value)
