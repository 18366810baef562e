"""`septum tdx`: a shell for the TDX module's emulator, and a runner of its scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from septum.cli.output import write
from septum.lang.errors import SeptumError, UserError
from septum.tdx.versions import EMULATED, VERSIONS

if TYPE_CHECKING:
    from septum.tdx.shell import Shell

UNEXPECTED = 1


@click.command(short_help="Make SEAMCALLs by hand, or run a script of them.")
@click.argument("script", required=False, type=click.Path(path_type=Path))
@click.option("--dynamic-pamt", is_flag=True, help="The module has Dynamic PAMT, and SYS.CONFIG asks for it.")
@click.option("--levels", type=click.IntRange(4, 5), default=4, show_default=True, help="Levels of the Secure EPT.")
@click.option("--lps", type=click.IntRange(1, 64), default=4, show_default=True, help="Logical processors.")
@click.option("--memory", type=click.IntRange(1, 512), default=4, show_default=True, metavar="GIB", help="Memory, from 1 GiB on.")
@click.option("--boot/--no-boot", default=True, help="Bring the module up first: SYS.INIT to the last SYS.TDMR.INIT (default).")
@click.option("--module", type=click.Choice(VERSIONS), default=EMULATED, show_default=True, help="The version of the TDX module.")
@click.option("--engine", type=click.Choice(["c", "python"]), default="c", show_default=True)
def tdx(script: Path | None, dynamic_pamt: bool, levels: int, lps: int, memory: int, boot: bool, module: str, engine: str) -> int:
    """Make SEAMCALLs by hand against an emulated TDX module, or run a SCRIPT of them (- is standard input).

    `help` in the shell lists what a line may say. In a script a call has to answer TDX_SUCCESS, or what stands behind
    its `->`.

    Exit status: 0 every call answered as expected, 1 one did not, 2 bad input.
    """
    lines = _read(script) if script else None
    shell = _shell(dynamic_pamt, levels, lps, memory, boot, module, engine, strict=lines is not None)
    if lines is None and sys.stdin.isatty():
        return _interactive(shell)
    return _run(shell, lines if lines is not None else sys.stdin.read().splitlines(), str(script or "standard input"))


def _shell(dynamic: bool, levels: int, lps: int, memory: int, boot: bool, version: str, engine: str, strict: bool) -> Shell:
    from septum.tdx.bringup import Host
    from septum.tdx.module import Geometry, Module
    from septum.tdx.shell import Shell

    geometry = Geometry(levels=levels, gfns=1 << (35 if levels == 4 else 39), lps=lps)
    module = Module(geometry, engine=engine, version=version, dynamic_pamt=dynamic, cmrs=((1 << 30, memory << 30),))
    return Shell(module, Host(module, dynamic=dynamic) if boot else None, strict=strict)


def _read(script: Path) -> list[str]:
    if str(script) == "-":
        return sys.stdin.read().splitlines()
    try:
        return script.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{script}: {getattr(error, 'strerror', None) or error}") from None


def _run(shell: Shell, lines: list[str], name: str) -> int:
    """Every line in turn, up to the first that does not answer as it has to."""
    shell.strict = True
    for number, line in enumerate(lines, 1):
        if line.strip() in ("quit", "exit"):
            break
        try:
            outcome = shell.run(line)
        except UserError as error:
            raise UserError(f"{name}:{number}: {error}") from None
        except SeptumError as error:
            print(f"septum: {name}:{number}: {error}", file=sys.stderr)
            return UNEXPECTED
        if outcome.text:
            write(f"{line.strip()}\n  " + outcome.text.replace("\n", "\n  "))
        if not outcome.expected:
            print(f"septum: {name}:{number}: {line.strip()}: unexpected status", file=sys.stderr)
            return UNEXPECTED
    return 0


def _interactive(shell: Shell) -> int:
    import readline  # noqa: F401 (history and editing for input())

    write("An emulated TDX module, " + ("ready." if shell.host else "not initialised.") + " `help` lists what a line may say.")
    while True:
        try:
            line = input("tdx> ")
        except EOFError:
            write("")
            return 0
        except KeyboardInterrupt:
            write("")
            continue
        if line.strip() in ("quit", "exit"):
            return 0
        try:
            text = shell.run(line).text
        except SeptumError as error:
            text = f"septum: {error}"
        if text:
            write(text)
