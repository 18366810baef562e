"""`septum check`: designs in scenarios, and a table of the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from septum.check.result import Result
from septum.cli import completion, names
from septum.cli.output import colour, drawing_width, height, width, write, write_json
from septum.cli.page import html_option, write_page
from septum.cli.patched import patch_option
from septum.cli.runs import Job
from septum.lang.errors import UserError
from septum.lang.whole import write_whole

EPILOG = (
    "Exit status: 0 all that applies holds, 1 something is violated or vacuous, 2 bad input, "
    "3 nothing violated but not everything explored."
)
NUMBER = click.IntRange(min=1)


@click.command(epilog=EPILOG, no_args_is_help=True, short_help="Check designs in scenarios.")
@click.argument("designs", metavar="DESIGN...", nargs=-1, shell_complete=completion.designs)
@completion.scenario_option()
@completion.property_option
@click.option("--all", "every", is_flag=True, help="Every built-in design.")
@click.option("--scope", "scope_name", metavar="NAME", default="", help="How large; see `septum list scopes` (default: small).")
@click.option("--vcpus", metavar="N", type=NUMBER, help="How many vCPUs the scenario runs.")
@click.option("--pages", metavar="N", type=NUMBER, help="How many physical pages there are.")
@click.option("--module", metavar="VERSION", help="Which TDX module: 1.5.16, 1.5.25, 1.5.28 or 2.0 (default: 1.5.16).")
@click.option(
    "--kernel",
    metavar="RELEASE",
    help="Which kernel to follow: 6.16, 6.18, 7.1, 7.2, 7.3 or next (default: 7.3; with Dynamic PAMT next, the tree after it).",
)
@click.option(
    "--budget",
    metavar="LIMIT",
    multiple=True,
    help="End each check at a time (60s), a memory size (4GiB) or a number of states (10M).",
)
@click.option("--inject", metavar="WHAT", default="", help="What may fail once: allocation, SEAMCALL, or a leaf as MEM_PAGE_AUG.")
@click.option("--engine", type=click.Choice(["c", "python"]), default="c", help="What explores (default: c).")
@click.option("--reduce", metavar="NAMES", default="all", help="Reductions: all, none, or names joined by commas (default: all).")
@click.option("--threads", metavar="N", type=NUMBER, help="How many cores to use (default: all).")
@click.option("--progress", "livelocks", is_flag=True, help="Also look for threads that may go round for ever.")
@click.option(
    "--races/--no-races",
    default=True,
    help="Look for steps that another thread may come into, as no lock keeps it out (default: yes).",
)
@click.option(
    "--memory", type=click.Choice(["sc", "x86-tso"]), default="sc", help="How memory keeps the order of accesses (default: sc)."
)
@click.option("--store-buffer", metavar="N", type=NUMBER, help="How many stores of a thread may wait under x86-tso (default: 4).")
@click.option(
    "--except", "excepted", metavar="CLAUSE", multiple=True, help="Set this clause aside, so that what lies behind it is seen."
)
@patch_option
@click.option("--keep-going", is_flag=True, help="Look for more than one violation of a scenario, each at another place.")
@click.option("--fresh", is_flag=True, help="Explore also what was explored to the end before.")
@click.option("--resume", is_flag=True, help="Keep each check on disk, and go on with one that was killed or ran out of budget.")
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
@click.option("--mail", "form", flag_value="mail", help="Print what was checked in at most 72 columns, to be quoted in a mail.")
@click.option(
    "--ftrace", metavar="FILE", help="Write a schedule of the one scenario as the kernel would trace it (septum replay)."
)
@html_option
@click.option(
    "--report", "file", metavar="FILE", help="Print each row as it is done, one counterexample a design; all goes to FILE."
)
@click.pass_context
def check(
    context: click.Context,
    /,
    designs: Sequence[str],
    scenarios: Sequence[str],
    every: bool,
    budget: Sequence[str],
    reduce: str,
    resume: bool,
    form: str | None,
    ftrace: str | None,
    html: str | None,
    file: str | None,
    **options: Any,
) -> None:
    """Check designs under every interleaving and every failure of a small scope.

    DESIGN is a built-in design or a Python file. Prints a table of verdicts, what each pass is worth (the events that it
    reached, the lines of the design that it did not), and the shortest counterexample for each violation.
    """
    options["budget"] = _budget(budget)
    options["reduce"] = _reductions(reduce)
    if resume:
        options |= _resume(options["engine"])
    named = _designs(designs, every)
    if ftrace and (len(named), len(scenarios)) != (1, 1):
        raise UserError("--ftrace writes one schedule: name one design, and one scenario with --scenario")
    if file and form:
        raise UserError("--report writes what is printed without --json and --mail: leave one out")
    context.exit(_check(named, scenarios, options, Form(form or "", file, ftrace, html)))


def _designs(given: Sequence[str], every: bool) -> list[str]:
    if every:
        from septum.check.loading import designs

        given = [*designs(), *given]
    if not given:
        raise UserError("which design? Name one, or its file, or say --all; `septum list designs` names those built in")
    return list(dict.fromkeys(given))


def _budget(texts: Sequence[str]) -> Any:
    from septum.cli.budget import limits
    from septum.explore.explore import Budget

    return Budget(**limits(texts))


def _reductions(text: str) -> frozenset[str]:
    from septum.check.check import REDUCTIONS

    if text in ("all", "none"):
        return REDUCTIONS if text == "all" else frozenset()
    return frozenset(text.split(","))


def _resume(engine: str) -> dict[str, Any]:
    if engine == "python":
        raise UserError("--resume is for the C engine; leave out --engine python")
    return {"resume": True, "notice": lambda text: click.echo(f"\r{text}", err=True)}


@dataclass(frozen=True)
class Form:
    """How results are told: as "json", as "mail", or, "", for a reader; files for the whole, for a schedule, for a page."""

    name: str = ""
    file: str | None = None
    ftrace: str | None = None
    html: str | None = None


def _check(designs: list[str], scenarios: Sequence[str], options: dict[str, Any], form: Form) -> int:
    """Runs and reports; also what is known when an error ends the run early. The exit status."""
    from septum.check.deadline import deadline
    from septum.cli.runs import plan, run, status

    results: list[Result] = []
    jobs: list[Job] = []
    try:
        with deadline(options["budget"].seconds):
            jobs = plan(designs, scenarios, [options["property"]] if options["property"] else [], options["scope_name"])
        results.extend(_shown(run(jobs, options), jobs, form))
    except Exception as error:
        if form.name == "json" and isinstance(error, UserError) and jobs:
            results.append(jobs[len(results)].refused(str(error)))
        if results:
            report(results, form, options)
        raise
    report(results, form, options)
    if form.ftrace:
        _write_ftrace(results[0], form.ftrace, options)
    if form.html:
        write_page(form.html, f"septum check {' '.join(designs)}", results)
    return status(results)


def _shown(results: Iterator[Result], jobs: Sequence[Job], form: Form) -> Iterator[Result]:
    """The results, printed as they come where the whole report goes to a file."""
    if form.file is None:
        return results
    from septum.cli.streamed import table

    return table(results, jobs)


def _write_ftrace(result: Result, name: str, options: dict[str, Any]) -> None:
    """The counterexample of a check, or a run of its scenario, as a kernel's trace."""
    from septum.check.schedules import schedule
    from septum.explore.build import sizes_given
    from septum.kvm.versions import release
    from septum.lang.memory import memory_sizes
    from septum.report.ftrace import written
    from septum.scenarios.inject import failure_number
    from septum.tdx.versions import version_number

    if not result.states:
        raise UserError(f"--ftrace: {result.scenario} did not run: {result.reason}")
    model = names.load(result.design)
    scenario = next(one for one in model.scenarios if one.name == result.scenario)
    versions = {"KERNEL": release(options["kernel"]), "MODULE": version_number(options["module"])}
    buffers = memory_sizes(options["memory"], options["store_buffer"])
    given = {"VCPUS": options["vcpus"], "PAGES": options["pages"], **versions, **buffers}
    given["INJECT"] = failure_number(options["inject"])
    sizes = sizes_given(model, scenario, options["scope_name"], given)
    build, steps = schedule(model, result, sizes)
    what = f"the counterexample: {result.clause}" if result.counterexample else "a run"
    write_whole(Path(name), written(build, steps, f"septum: {result.design}, {result.scenario}: {what}"))


def report(results: list[Result], form: Form, options: dict[str, Any]) -> None:
    """Prints the results."""
    if form.name == "mail":
        write(mail(results, options))
    elif form.file is not None:
        from septum.cli.streamed import brief

        brief(results, Path(form.file))
    elif form.name == "json":
        from septum.report.document import document

        write_json(document(results))
    else:
        from septum.report.terminal import render

        unjudged = _unjudged(options)
        write(render(results, width=width(), colour=colour(), height=height(), drawing=drawing_width(), unjudged=unjudged))


def _unjudged(options: dict[str, Any]) -> str:
    """What a check with these options does not judge; "" if it judges all."""
    if options["property"]:
        return f"all but {options['property']}"
    left_out = {"progress (--progress)": not options["livelocks"], "race": not options["races"] or options["engine"] != "c"}
    return ", ".join(name for name, is_left_out in left_out.items() if is_left_out)


def mail(results: Sequence[Result], options: dict[str, Any]) -> str:
    """The text to quote. A property that a violation of another one hides is checked alone."""
    from septum import __version__
    from septum.check.versions import design_version, model_version, patch_applied
    from septum.report import mail as letter

    designs = {design: design_version(names.load(design)) for design in dict.fromkeys(one.design for one in results)}
    judged = [letter.Judged(one, _property_by_property(one, options)) for one in results]
    words = ["septum", "check", *designs]
    for scenario in dict.fromkeys(one.scenario for one in results):
        words += ["--scenario", scenario]
    named = {"scope": "scope_name"} | {name: name for name in ("property", "vcpus", "pages", "kernel", "module", "inject")}
    for name, key in named.items():
        words += [f"--{name}", str(options[key])] if options[key] else []
    words += [word for clause in options["excepted"] for word in ("--except", clause)]
    words += ["--patch", patch_applied()[0]] if patch_applied()[0] else []
    words += ["--keep-going"] if options["keep_going"] else []
    words += ["--progress"] if options["livelocks"] else []
    words += ["--memory", options["memory"]] if options["memory"] != "sc" else []
    words += ["--store-buffer", str(options["store_buffer"])] if options["store_buffer"] else []
    if options["reduce"] != _reductions("all"):
        words += ["--reduce", ",".join(sorted(options["reduce"])) or "none"]
    return letter.render(
        judged, septum=__version__, model=model_version(), designs=designs, reductions=sorted(options["reduce"]),
        command=[*words, "--mail"],
    )  # fmt: skip


def _property_by_property(one: Result, options: dict[str, Any]) -> dict[str, str]:
    from septum.check.check import check as explore
    from septum.check.result import Verdict
    from septum.explore.build import PROGRESS

    if not one.states:
        return {}
    every = [options["property"]] if options["property"] else [*names.properties([names.load(one.design)])]
    judged = [name for name in every if name != PROGRESS or options["livelocks"] or options["property"]]
    unjudged = {name: "not judged; --progress does" for name in every if name not in judged}
    if one.verdict is not Verdict.VIOLATED:
        known = "not violated in what was explored" if one.verdict is Verdict.INCOMPLETE else "holds"
        return dict.fromkeys(judged, known) | unjudged
    found, once = {}, {"resume": False, "keep_going": False}
    for name in judged:
        alone = one if name == one.property else explore(one.design, one.scenario, **{**options, **once, "property": name})
        found[name] = (
            f"violated: {alone.clause.removeprefix(f'{name}: ')}" if alone.verdict is Verdict.VIOLATED else str(alone.verdict)
        )
    return found | unjudged
