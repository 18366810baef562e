"""The local page: what it answers, whom it refuses, and what a person does with it in a browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from septum.cli import main
from septum.explore.build import build
from septum.lang import Model
from septum.page.serve import LARGEST, application
from septum.page.walk import Walk
from tests.page.conftest import MARKUP
from tests.page.test_walk import RACE

PORT = 8000
HERE = f"http://127.0.0.1:{PORT}"
STEPS = [list(step) for step in RACE]


@pytest.fixture(scope="module")
def client(pool: Path, pool_model: Model) -> TestClient:
    walk = Walk(build(pool_model, pool_model.scenarios[0]), str(pool), {}, RACE)
    return TestClient(application(walk, PORT), base_url=HERE)


def test_it_answers_with_the_page_and_its_parts(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for part in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert client.get(part).status_code == 200
    assert "'unsafe" not in page.headers["content-security-policy"]
    about = client.get("/about").json()
    assert (about["scenario"], about["begins"]) == ("two_takers", STEPS)


def test_it_says_where_a_schedule_leads(client: TestClient) -> None:
    assert client.post("/look", json=STEPS).json()["fails"].startswith("custody")
    assert [one["thread"] for one in client.post("/options", json=[]).json()] == [0, 1]
    assert client.post("/way/emptied").json()


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:9", f"127.0.0.1.evil.example:{PORT}", ""]
)
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/about", "/page.js", "/nowhere"):
        assert client.get(path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", f"{HERE}.evil.example"]
)
def test_another_origin_is_refused(client: TestClient, origin: str) -> None:
    assert client.post("/look", json=[], headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}"])
def test_its_own_address_is_answered(client: TestClient, host: str) -> None:
    assert client.post("/look", json=[], headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


BAD = [
    "",
    "{",
    "{}",
    "[1]",
    "[[0]]",
    "[[0, -1]]",
    '[["0", 0]]',
    "[[true, 0]]",
    "[[0, 0, 0]]",
    "[[99, 0]]",
    "[[0, 99]]",
    "[" * 100_000,
]


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:12])
def test_what_is_no_schedule_is_said_to_be_none(client: TestClient, body: str) -> None:
    answer = client.post("/look", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_schedule_of_a_megabyte_is_refused(client: TestClient) -> None:
    assert client.post("/look", content=b" " * (LARGEST + 1)).status_code == 400


def test_it_exports_the_schedule(client: TestClient) -> None:
    kinds = ("token", "itf", "perfetto", "pytest", "svg")
    token, itf, perfetto, test, picture = (client.post(f"/export/{kind}", json=STEPS) for kind in kinds)
    assert token.text.startswith("s2-")
    assert len(itf.json()["states"]) == len(RACE) + 1
    assert perfetto.json()["traceEvents"]
    assert "def test_schedule_two_takers_custody" in test.text
    assert picture.text.startswith("<svg")
    assert client.post("/export/pytest", json=STEPS[:1]).json() == {"error": "nothing fails at the end of this schedule"}


@pytest.fixture
def address(pool: Path) -> Iterator[str]:
    """The page, served by the command, which Ctrl-C ends without a word."""
    command = [sys.executable, "-m", "septum", "explore", str(pool), "two_takers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}) as process:
        said = process.stdout.readline()
        yield said.split()[0]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr.read() == ""


def test_the_command_serves_on_loopback_alone_until_it_is_interrupted(address: str) -> None:
    host, port = re.fullmatch(r"http://(127\.0\.0\.1):(\d+)/", address).groups()
    with closing(http.client.HTTPConnection(host, int(port))) as connection:
        connection.request("GET", "/about")
        assert json.loads(connection.getresponse().read())["scenario"] == "two_takers"
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    assert f"0100007F:{int(port):04X}" in listening
    assert f"00000000:{int(port):04X}" not in listening


@pytest.fixture
def person(browser: Any, address: str) -> Iterator[Any]:
    """The page before a person, of which the browser has nothing to complain."""
    context = browser.new_context(viewport={"width": 1300, "height": 900}, accept_downloads=True)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".card")
    yield page
    context.close()
    assert not [said for said in complaints if "status of 400" not in said]


def settled(person: Any) -> None:
    person.wait_for_selector("body:not([aria-busy])")


def cards(person: Any) -> list[str]:
    settled(person)
    return [" ".join(text.split()) for text in person.locator(".card").all_inner_texts()]


def test_a_person_finds_the_race_goes_back_and_goes_another_way(person: Any) -> None:
    assert [card.startswith(f"{n + 1} CPU {n} {MARKUP}") for n, card in enumerate(cards(person))] == [True, True]
    person.locator(".card").nth(0).click()
    settled(person)
    person.keyboard.press("2")
    assert any("nobjs: 2 \u2192 1" in card for card in cards(person))
    person.keyboard.press("2")
    [one] = cards(person)
    assert "fails: custody: page 1" in one
    person.keyboard.press("1")
    settled(person)
    assert "Fails: custody: page 1" in person.locator("p[role=status]").inner_text()
    assert cards(person) == []
    person.keyboard.press("u")
    assert len(cards(person)) == 1
    person.locator(".diagram [role=option]").nth(1).click()
    settled(person)
    assert "cuts off the 2 after it" in person.get_by_role("region", name="What may come next").inner_text()
    person.keyboard.press("1")
    settled(person)
    assert person.locator(".diagram [role=option]").count() == 3


def test_a_person_jumps_to_a_witness_and_takes_the_schedule_away(person: Any, tmp_path: Path) -> None:
    person.get_by_role("combobox", name="Go to a witness").select_option("emptied")
    person.wait_for_selector("text=Reached: emptied")
    person.get_by_role("button", name="a token").click()
    person.wait_for_selector("text=--token s2-")
    with person.expect_download() as download:
        person.get_by_role("button", name="ITF").click()
    download.value.save_as(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["#meta"]["format"] == "ITF"
    person.get_by_role("button", name="pytest").click()
    person.wait_for_selector("text=nothing fails at the end")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "two_takers"], "unknown design nowhere"),
        (["upstream", "same_gnf"], "did you mean same_gfn?"),
        (["upstream", "split"], "does not apply to upstream"),
        (["upstream", "same_gfn", "--token", "s2-x"], "the token is damaged"),
    ],
)
def test_what_cannot_be_explored_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_its_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "septum.page.serve", None)
    assert main(["explore", "upstream", "same_gfn"]) == 2
    assert "pip install 'septum[explore]'" in capsys.readouterr().err
