"""A comparison and a replay as pages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from septum.check.evidence import FAMILIES, Evidence
from septum.check.result import Verdict
from septum.cli import main
from septum.page.file import page
from septum.page.sections import Section, document, of_designs, of_replay, of_results, of_simulations
from septum.replay.replay import replay as follow
from septum.report import compare
from septum.simulate.simulate import Lock, Options, Seamcall, Simulated
from tests.replay.samples import SMALL, file_of, lines_of
from tests.report.samples import ALL

FAMILY = next(iter(FAMILIES))
FOUND = (
    Evidence("one", {FAMILY: (Verdict.VIOLATED, "custody")}, own_locks={"vm.design.lock": "SpinLock"}, idle_of_vcpu=5),
    Evidence("two", {FAMILY: (Verdict.HOLDS, "")}),
)


def titled(sections: list[Section]) -> dict[str, Section]:
    return {one.title: one for one in sections}


def test_a_comparison_has_the_cells_of_the_report() -> None:
    parts = titled(list(of_designs(FOUND)))
    assert [row[:2] for row in parts["Verdicts"].rows] == [("one", "CUSTODY"), ("two", "holds")]
    assert parts["Pages"].heads == ("design", *compare.PAGES)
    assert {len(row) for row in parts["Pages"].rows} == {len(parts["Pages"].heads)}
    assert "lock (SpinLock)" in parts["one"].text


def test_a_check_says_what_its_verdicts_are_worth() -> None:
    parts = titled(list(of_results(ALL)))
    assert "upstream, same_gfn: busy" in parts["Vacuous: these witnesses were never reached"].paragraphs
    assert parts["Witnesses, reached in every pass"].paragraphs == ("same_gfn: lost_race, page_mapped",)
    assert any("dpamt_v4" in text for text in parts["Lines of the design that no schedule executed"].paragraphs)
    assert not list(of_results([]))


def test_without_verdicts_there_is_no_table_of_them() -> None:
    assert [one.title for one in of_designs([Evidence("one")])] == ["Pages", "one"]


def test_a_replay_has_a_chart_of_what_was_mapped() -> None:
    result = follow(str(file_of("6.12-dirty-1g")))
    parts = titled(list(of_replay(result)))
    chart = parts["Mapped pages by size over time"].chart
    assert chart.names == ("4K", "2M", "1G")
    assert all(len(values) == len(chart.times) for values in chart.values)
    assert max(map(max, chart.values)) == 1 << 30
    assert "split a huge page" in parts["Steps"].text
    assert json.loads(json.dumps(document(iter(parts.values()))))["sections"]


def test_a_divergence_is_a_part_of_its_own(capsys: Any, tmp_path: Path) -> None:
    lines = lines_of(SMALL)
    where = [i for i, line in enumerate(lines) if re.search(r"level 1 old_spte 8000000000000000 new_spte \w+7$", line)][40]
    lines[where] = re.sub(r"new_spte (\w)", r"new_spte 7\1", lines[where])
    case, file = tmp_path / "broken.trace", tmp_path / "replay.html"
    case.write_text("\n".join(lines) + "\n")
    assert main(["replay", str(case), "--html", str(file)]) == 1
    made = json.loads(file.read_text().split('id="document">')[1].split("</script>")[0])
    [found] = [one for one in made["sections"] if one["title"].startswith("Divergence at line")]
    assert f"line {where + 1}" in found["title"]
    assert lines[where].strip() in found["text"]
    assert lines[where].strip() in capsys.readouterr().out


def test_a_simulation_has_a_column_for_each_design() -> None:
    calls = (Seamcall("tdh_mem_page_aug", "TDX_SUCCESS", 4096),)
    locks = tuple(Lock(name, 0.5, 0.25, 1) for name in ("mmu_lock (read)", "mmu_lock (write)", "pamt_lock"))
    one = Simulated(
        "upstream", "boot", True, Options(4096), 1 << 18, False, {}, {"SPT": 10}, 4096, 4096, calls, (), locks, 4096, 4096, 1,
        2.5, {}, {}, (), 0, 0.1,
    )  # fmt: skip
    parts = titled(list(of_simulations([one, replace(one, design="other", seamcalls=())], "as printed")))
    assert parts["Time"].heads == ("", "upstream", "other")
    assert ("SEAMCALLs", "4,096", "0") in parts["Time"].rows
    assert parts["SEAMCALLs"].rows == (("tdh_mem_page_aug", "SUCCESS", "4,096", "0"),)
    assert parts["As printed"].text == "as printed"


def test_a_browser_draws_the_tables_and_the_chart(browser: Any, tmp_path: Path) -> None:
    result = follow(str(file_of("6.12-dirty-1g")))
    (tmp_path / "page.html").write_text(page("both", document(iter([*of_designs(FOUND), *of_replay(result)])), ""))
    shown, complaints = browser.new_page(), list[str]()
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.goto((tmp_path / "page.html").as_uri())
    assert shown.locator("svg.chart polyline").count() == 3
    assert shown.locator("td.bad").all_inner_texts() == ["CUSTODY"]
    shown.close()
    assert not complaints
