"""What the documentation shows is true: its design is checked, its table of mutations is the one that is tested."""

from __future__ import annotations

import os
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

from benchmarks.releases import tabled
from septum.check.check import check
from septum.check.loading import designs
from septum.check.result import Verdict
from septum.cli.app import MODULES
from septum.kvm.versions import RELEASES
from septum.report.diagram import schedule
from tests.designs.mutations import MUTATIONS
from tests.designs.mutations_failures import FAILURES
from tests.designs.mutations_locks import LOCKS
from tests.kvm.mutations_direct import MUTATIONS as DIRECT

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = Path(__file__).parents[1] / "examples"
FOUND = (DOCS / "found.md").read_text()
WRITE = os.environ.get("SEPTUM_GOLDEN") == "write"


def test_the_design_of_the_guide_breaks_as_the_guide_says(tmp_path):
    text = (DOCS / "designs.md").read_text()
    path = tmp_path / "one_pair_short.py"
    path.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
    result = check(str(path), "same_gfn")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "provision")


def test_the_change_of_the_tour_breaks_as_the_tour_says(tmp_path):
    path = tmp_path / "mine.py"
    source = designs()["dpamt_merged"].file.read_text()
    assert "pairs = tables - 1 + 1" in source
    path.write_text(source.replace("pairs = tables - 1 + 1", "pairs = u8(tables - 1)"))
    result = check(str(path), "same_gfn")
    assert (result.verdict, result.property) == (Verdict.VIOLATED, "provision")


def test_the_loop_of_the_guide_is_what_its_example_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "commands.md").read_text()
    shown = next(block for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "for ever ---" in block)
    result = check(str(EXAMPLES.parent / "tests" / "progress" / "retries.py"), "feed_each_other", livelocks=True)
    found = "\n".join(schedule(result.counterexample.steps, loop=result.counterexample.loop)) + "\n"
    if WRITE:
        (DOCS / "commands.md").write_text(text.replace(shown, found))
        shown = found
    assert found == shown


COMMAND = r"^septum check (\w+)(?: --scope (\w+))? --scenario (\w+)(?: --kernel (\S+))?( --progress)?$"


@pytest.mark.parametrize(("design", "scope", "scenario", "kernel", "progress"), re.findall(COMMAND, FOUND, re.MULTILINE))
def test_what_was_found_is_still_found(design, scope, scenario, kernel, progress):
    result = check(design, scenario, scope_name=scope, kernel=kernel, livelocks=bool(progress))
    assert result.verdict is Verdict.VIOLATED


ENTRIES = re.findall(r"^## (?!What was asked)(.*)\n\n```\n(.*)\n(?:.*\n)*?```\n\n(.*)$", FOUND, re.MULTILINE)
KNOWN = r"\*Model\*: (every release|[\w.]+)(?:( to | and )([\w.]+))?[,.;] .*"


def claimed(known: str) -> list[str]:
    """The releases for which the model is said to show what was found."""
    first, to, last = re.fullmatch(KNOWN, known).groups()
    every = list(RELEASES)
    if first == "every release":
        return every
    return every[every.index(first) : every.index(last) + 1] if to == " to " else [first, *filter(None, [last])]


def test_every_entry_says_for_which_releases_it_holds_and_how_that_is_known():
    assert len(ENTRIES) == len(re.findall("^## ", FOUND, re.MULTILINE)) - 1
    for title, _, known in ENTRIES:
        assert re.fullmatch(KNOWN, known), title
        assert re.search(r"\*(Read in the source of|Seen on)\* ", known), title
        assert not re.search(r"6\.1", title) or re.search(re.escape(re.fullmatch(KNOWN, known)[1]), title), title


def test_what_was_found_is_claimed_for_the_releases_that_the_table_shows():
    """A scenario without a row is violated by default (above), and so in every release."""
    rows = tabled((DOCS / "fidelity.md").read_text())
    for title, command, known in ENTRIES:
        model, scenario = re.search(r"check (\S+) (?:--scope wide )?--scenario (\w+)", command).groups()
        row = rows.get((model, scenario), ("violated",) * len(RELEASES))
        assert claimed(known) == [release for release, cell in zip(RELEASES, row, strict=True) if "violated" in cell], title


@pytest.mark.parametrize("kernel", ["6.16", "next"])
def test_a_fault_beside_a_new_memslot_warns_in_the_first_release_and_in_the_last(kernel):
    """Its scope is not that of the table."""
    assert check("kvm", "mmio", scope_name="wide", kernel=kernel).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(("design", "scenario"), re.findall(r"`septum check (\w+) --scenario (\w+)` holds", FOUND))
def test_what_holds_beside_it_still_holds(design, scenario):
    assert check(design, scenario).holds


@pytest.mark.parametrize("design", ["dpamt_v4", str(EXAMPLES / "atomic_source.py")])
@pytest.mark.parametrize("scenario", ["same_gfn", "same_gfn_enomem", "split", "split_teardown"])
def test_pages_of_three_sources_keep_one_owner(design, scenario):
    assert check(design, scenario, property="custody").holds


@pytest.mark.parametrize("design", ["upstream", "dpamt_merged"])
def test_a_split_is_not_reachable_for_a_td_without_the_huge_page_series(design):
    assert check(design, "split").verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("design", ["dpamt_v4", "dpamt_merged_split"])
def test_a_split_table_never_shows_a_zero_entry(design):
    assert check(design, "split", property="initial value").holds


def rows_of_the_readme():
    """Design, scenario, verdict and counts of the rows of the README's table; the large ones are left to `make demo-all`."""
    design = ""
    for line in (DOCS.parent / "README.md").read_text().splitlines():
        row = re.fullmatch(r"  (\w+) +(holds|violated: \w+) +([\d,]+) +([\d,]+) +(\d+) +[\d.]+", line)
        design = line if line in designs() else design
        if row and int(row[3].replace(",", "")) < 100_000:
            yield design, row[1], row[2], *(int(number.replace(",", "")) for number in row.groups()[2:])


@pytest.mark.parametrize(("design", "scenario", "verdict", "states", "transitions", "depth"), list(rows_of_the_readme()))
def test_the_table_of_the_readme_is_what_a_check_prints(design, scenario, verdict, states, transitions, depth):
    result = check(design, scenario)
    assert f"{result.verdict}: {result.property}".removesuffix(": ") == verdict
    assert (result.states, result.transitions, result.depth) == (states, transitions, depth)


def test_the_readme_has_a_table():
    assert len(list(rows_of_the_readme())) > 5


def mutation_table() -> str:
    lines = [
        "# Mutations", "",
        "One-line mistakes in the designs and in the model of KVM. Each is caught by the property in its row, judged alone,",
        "in the scenario and under the design that the row names. `septum list properties kvm` says what each property is. "
        "The tests in `tests/designs` and",
        "`tests/kvm` run them: of those in error branches and of plain VMs `make test` runs some, "
        "and `make test-thorough` the rest.", "",
        "| mistake | where | caught by | scenario | design |", "| --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += [
        f"| {m.what} | `{m.function}` in {m.file} | {m.property} | {m.scenario} | {m.design} |"
        for m in (*MUTATIONS, *LOCKS, *FAILURES, *DIRECT)
    ]
    return "\n".join(lines) + "\n"


def test_the_table_of_mutations_is_the_one_that_is_tested():
    file = DOCS / "mutations.md"
    if WRITE:
        file.write_text(mutation_table())
    assert file.read_text() == mutation_table()


def test_every_page_is_in_the_navigation():
    navigation = (DOCS.parent / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert pages == set(re.findall(r"([\w/-]+\.md)", navigation))


PROMISES = re.findall(r"`((?:\w+/)*test_\w+\.py)::(test_\w+)`", (DOCS / "promises.md").read_text())


@pytest.mark.parametrize(("file", "test"), PROMISES)
def test_every_promise_has_its_test(file, test):
    assert f"\ndef {test}(" in (DOCS.parent / "tests" / file).read_text()


def test_no_promise_is_without_a_test():
    text = (DOCS / "promises.md").read_text().split("## Exit statuses")[1]
    for promise in re.split(r"\n(?:\* |\n)", text):
        assert not promise or promise.startswith(("#", "Compiled models lie")) or "`" in promise, promise
    assert len(PROMISES) > 25


def test_the_front_page_names_every_page():
    navigation = re.findall(r"([\w/-]+\.md)", (DOCS.parent / "mkdocs.yml").read_text())
    assert set(re.findall(r"\(([\w/-]+\.md)\)", (DOCS / "index.md").read_text())) == set(navigation) - {"index.md"}


def test_every_name_of_the_python_page_is_there():
    text = (DOCS / "python.md").read_text()
    named = re.findall(r"^::: ([\w.]+)\n    options:\n(?:      members: \[(.*)\]\n)?", text, re.MULTILINE)
    assert len(named) > 4
    for name, members in named:
        found = pkgutil.resolve_name(name if members else ":".join(name.rsplit(".", 1)))
        assert all(hasattr(found, member) for member in filter(None, members.split(", "))), name


def test_the_picture_of_the_glossary_is_the_one_that_its_script_draws():
    drawn = runpy.run_path(str(DOCS / "pictures" / "glossary.py"))["picture"]()
    assert (DOCS / "pictures" / "glossary.svg").read_text() == drawn


def test_the_page_beside_other_tools_has_the_table_of_the_benchmark():
    measured = (DOCS.parent / "benchmarks" / "protocol" / "README.md").read_text().split("## Measured")[1]
    rows = re.findall(r"^\|.*\|$", measured, re.MULTILINE)
    assert len(rows) > 5
    assert "\n".join(rows) in (DOCS / "beside.md").read_text()


def test_every_command_has_its_place_in_the_list_of_commands():
    text = (DOCS / "commands.md").read_text()
    listed = set(re.findall(r"^septum (\w+)", text.split("```")[1], re.MULTILINE))
    assert listed == set(MODULES)


def test_the_kernels_locks_in_a_model_of_ones_own_are_used_as_the_language_page_shows(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "language.md").read_text(), re.DOTALL)
    path = tmp_path / "counts.py"
    path.write_text(next(text for text in blocks if "spin_lock" in text))
    assert check(str(path), "two", engine="python").holds
    path.write_text(path.read_text().replace("    spin_unlock(m, m.lock)\n", ""))
    assert check(str(path), "two", engine="python").property == "deadlock"
