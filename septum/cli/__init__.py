"""The command line, one file a command. Nothing is imported before it can be said that there is no memory for it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

INCOMPLETE = 3


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Runs one command line; the exit status. Without arguments it is that of the process, and run in a process of its own."""
    if arguments is not None:
        return _main(arguments)
    try:
        from septum.cli.supervise import supervised
    except MemoryError:
        return INCOMPLETE
    return supervised(_main)


def _main(arguments: "Sequence[str] | None" = None) -> int:
    from septum.cli.app import main as run

    return run(arguments)
