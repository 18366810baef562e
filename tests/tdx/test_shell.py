"""`septum tdx`: lines, values, what a line must answer, and exit statuses."""

from __future__ import annotations

import io

import pytest

from septum.cli.app import main
from septum.lang import UserError
from septum.tdx import Host, Module
from septum.tdx.shell import Shell


@pytest.fixture(scope="module")
def shell():
    module = Module(cmrs=((1 << 30, 1 << 30),))
    return Shell(module, Host(module))


def test_a_td_by_lines(shell):
    assert shell.run("tdr = page").text == "tdr = 0x40000000"
    assert shell.run("MNG.CREATE rcx=tdr rdx=40").text.startswith("TDX_SUCCESS")
    assert shell.run("TDH.MNG.KEY.CONFIG rcx=tdr").text.startswith("TDX_SUCCESS")
    assert shell.run("38 rcx=tdr").text.startswith("TDX_TDCS_NOT_ALLOCATED")
    assert shell.run("mng_init rcx=tdr -> TDCS_NOT_ALLOCATED").expected
    assert not shell.run("MNG.INIT rcx=tdr -> TDX_SUCCESS").expected
    assert shell.run("MNG.INIT rcx=tdr|4 -> OPERAND_INVALID|RCX").expected
    assert shell.run("MNG.INIT rcx=tdr|4 -> OPERAND_INVALID | 1").expected
    assert not shell.run("MNG.INIT rcx=tdr|4 -> OPERAND_INVALID|RDX").expected
    assert shell.run("tree tdr").text.splitlines() == ["TD 0x40000000: KEYS_CONFIGURED, UNINITIALIZED, epoch 0, 0 pages"]
    assert shell.run("show tdr").text.startswith("TDX_SUCCESS  rcx=0x4")
    assert shell.run("# nothing").text == ""
    assert "18 VP.FLUSH" in shell.run("leaves").text
    assert "tdr = 0x40000000" in shell.run("vars").text
    assert "LEAF reg=value" in shell.run("help").text


@pytest.mark.parametrize(("line", "message"), [
    ("MNG.CRATE", "no leaf and no command"), ("MNG.CREATE rxx=1", "rxx=1 is no name=value; the names are rcx"),
    ("MNG.CREATE rcx=1 rcx=2", "rcx stands there twice"), ("MNG.CREATE vcpu=1", "vcpu=1 is no name=value"),
    ("MNG.CREATE rcx=-1", "-1 is no number of 64 bits"), ("MNG.CREATE rcx=1|", "nothing is neither a number"),
    ("x = 5 6", "5 6 is neither"), ("x =", "x = value"), ("x = page 3", "page 2M or page 1G"),
    ("tree = 4", "cannot be a variable"),
    ("leaves 1", "stands alone"), ("store 1", "store HPA WORD"),
    ("MNG.CREATE rcx=foo", "neither a number"),
    ("MNG.CREATE ->", "after -> stands a status"), ("MNG.CREATE -> TDX_NONSENSE", "is no status"),
    ("MNG.CREATE -> OPERAND_INVALID|FOO", "is no operand"), ("tree 0", "is not the TDR"),
    ("read 0", "no vCPU with TDVPR"), ("tdcall", "MEM.PAGE.ACCEPT"), ("tdcall FOO", "no TDCALL leaf"),
    ("MNG.CREATE lp=9", "from 0"),
    ("rcx = 4", "cannot be a variable"), ("tree", "tree TDR"),
])  # fmt: skip
def test_a_wrong_line_says_what_is_wrong(shell, line, message):
    with pytest.raises(UserError, match=message):
        shell.run(line)


def test_a_module_is_brought_up_by_lines():
    shell = Shell(Module(cmrs=((1 << 30, 2 << 30),)), strict=True)
    assert shell.run("store 0x1000 0x2000").text == "8 bytes at 0x1000"
    shell.run("store 0x2000 1G 1G 2G 4K 2G+4K 8K 2G+12K 4M")
    lps = [f"SYS.LP.INIT lp={lp}" for lp in range(4)]
    for line in ("SYS.INIT", *lps, "SYS.CONFIG rcx=0x1000 rdx=1 r8=32", "SYS.KEY.CONFIG", "SYS.TDMR.INIT rcx=1G"):
        assert shell.run(line).expected, line
    with pytest.raises(UserError, match="name a page yourself"):
        shell.run("a = page")


def test_memory_ends(shell):
    with pytest.raises(UserError, match="no 1048576 KiB of memory are left"):
        shell.run("x = page 1G")


def test_values(shell):
    shell.run("a = 0x1000")
    assert [shell.value(text) for text in ("4096", "0x10", "2M", "a|1", "a+a", "1G")] == [
        4096,
        16,
        2 << 20,
        0x1001,
        0x2000,
        1 << 30,
    ]


def test_equal_entries_are_one_line_of_the_tree():
    module = Module(cmrs=((1 << 30, 1 << 30),))
    host = Host(module)
    td = host.td()
    td.link(0)
    for gpa in range(0, 8 << 12, 1 << 12):
        td.augment(gpa)
    shell = Shell(module, host)
    assert shell.run(f"tree {td.tdr}").text.splitlines()[-1].strip().endswith("x 8")


@pytest.mark.parametrize(("script", "status", "said"), [
    ("tdr = page\nMNG.CREATE rcx=tdr rdx=40\nquit\nnonsense", 0, ""),
    ("MNG.CREATE rcx=1 rdx=40", 1, "1: MNG.CREATE rcx=1 rdx=40: unexpected status"),
    ("MNG.CREATE rcx=1 rdx=40 -> OPERAND_INVALID|RCX", 0, ""),
    ("\nnonsense", 2, ":2: nonsense is no leaf"),
])  # fmt: skip
def test_a_script_ends_with_a_status(tmp_path, capsys, script, status, said):
    file = tmp_path / "a.tdx"
    file.write_text(script)
    assert main(["tdx", "--memory", "1", str(file)]) == status
    assert said in capsys.readouterr().err


def test_a_script_in_a_pipe(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("t = page\nMNG.CREATE rcx=t rdx=1\n"))
    assert main(["tdx", "--memory", "1"]) == 1
    assert "standard input:2" in capsys.readouterr().err


def test_a_script_that_is_not_there(capsys):
    assert main(["tdx", "/nowhere.tdx"]) == 2
    assert "/nowhere.tdx: No such file" in capsys.readouterr().err
