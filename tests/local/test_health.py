"""A bad new version: Teal names its fault, the live release serves on, and the next deploy works."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest import mark

from harness.background import in_background, load, stranger, wait_for_requests
from harness.world import App, Ended

LONG_S, SHORT_S = 600, 4  # two deadlines, so that no test waits for the long one


@dataclass(frozen=True)
class Bad:
    """A bad second version: what the version does, what Teal says about it, and its health settings."""

    name: str
    complaint: str
    does: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    row: pytest.MarkDecorator | tuple[()] = ()

    @property
    def case(self) -> Any:
        return pytest.param(self, id=self.name, marks=self.row)


ELSEWHERE = r"nothing listens on port \d+; the program listens on \d+ instead"
NOT_HERE = r"/healthz: the connection was refused; the program listens on ::1 instead of 127.0.0.1 \(HOST\)"

ENDS = [
    Bad("exits with 1", "the program is not running: it exited with code 1", {"exits": 1}, row=mark.row("C1")),
    Bad("exits with 0", "the program is not running: it exited with code 0", {"exits": 0}, row=mark.row("C2")),
    Bad("dies of SIGSEGV", "the program is not running: it was ended by SIGSEGV", {"killed": signal.SIGSEGV.value}),
    Bad("dies of SIGKILL", "the program is not running: it was ended by SIGKILL", {"killed": signal.SIGKILL.value}),
]  # fmt: skip

ANSWERS = [
    Bad("never listens", r"nothing listens on port \d+$", {"never_listens": True}, row=mark.row("C5")),
    Bad("listens elsewhere", ELSEWHERE, {"port_off_by": 7}, row=mark.row("C6")),
    Bad("listens on ::1", NOT_HERE, {"bind": "::1"}, row=mark.row("C6")),
    Bad("answers 500", "/healthz answers 500, expected 200", {"health": 500}),
    Bad("answers 500 slowly", "/healthz answers 500, expected 200", {"health": 500, "slow": 0.3}),
    Bad("answers 404", "/healthz answers 404, expected 200", {"health": 404}),
    Bad("has no such path", "/nowhere answers 404, expected 200", {"missing": ["/nowhere"]}, {"path": "/nowhere"}),
    Bad("flaps", r"it flaps: well in \d+ of \d+ attempts, never 2 in a row", {"flaps": 2}, row=mark.row("C11")),
    Bad("hangs", r"/healthz: no whole answer within \d", {"hangs": True}, row=mark.row("C13")),
    Bad("redirects", r"/healthz redirects to /login \(302\); Teal follows no redirect", {"redirects": "/login"}),
    Bad("never stops answering", "answers 200, but the answer does not end within 64 KiB", {"endless": "fast"}),
    Bad("answers in drops", r"/healthz: no whole answer within \d", {"endless": "drip"}, row=mark.row("C13")),
    Bad("speaks no HTTP", "/healthz: the answer is not HTTP", {"not_http": True}),
    Bad("says something else", '"message" is "sick", expected "ok"', {"health_json": {"message": "sick"}}),
    Bad("leaves it out", '"message" is not in the answer', {"health_json": {"fine": True}}),
    Bad("says no object", "the answer is not a JSON object", {"health_json": ["ok"]}),
]  # fmt: skip


@pytest.mark.parametrize("bad", [bad.case for bad in (*ENDS, *ANSWERS)])
def test_bad_candidate_is_refused_with_its_fault_and_never_gets_a_request(app: App, bad: Bad) -> None:
    wait = SHORT_S if bad in ANSWERS else LONG_S
    _first(app)
    app.config(health={"deadline_s": wait, **bad.health})
    app.program(version="v2", **bad.does)
    refused = _refused_under_load(app, bad.complaint)
    _the_next_one_works(app)
    assert any("version v2 starts on" in line for line in refused.result["error"]["evidence"])


@mark.row("C16")
def test_missing_variable_is_reported_in_the_words_of_the_program(app: App) -> None:
    """Teal does not know what a program needs, so it shows the program's last words."""
    app.program(version="v1", needs="SMTP_HOST")
    refused = app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert refused.result["error"]["evidence"][-1] == "│ SMTP_HOST is missing"
    app.config(run={"env": {"SMTP_HOST": "localhost"}})
    app.deploy().ok()


@mark.row("C6")
def test_candidate_that_listens_on_all_addresses_goes_live_with_a_warning(app: App) -> None:
    app.program(version="v1", bind="0.0.0.0")
    (note,) = [line["text"] for line in app.deploy().ok().lines if line["type"] == "note"]
    assert note.startswith("blue listens on all addresses of this machine")
    assert str(app.ports[1]) in note


def test_long_page_is_well_for_every_judge_when_no_json_is_asked_for(app: App) -> None:
    app.config(health={"path": "/", "json": None}, verify={"path": None, "json": None}, keep={"watch_s": 1})
    for version in ("v1", "v2"):
        app.program(version=version, page=149_000)
        app.deploy().ok()
    assert app.deploy().ok().result["outcome"] == "unchanged"
    assert app.teal("rollback", "--json").ok().result["outcome"] == "live"
    assert {finding["state"] for finding in app.teal("doctor", "--json").ok().result["findings"]} <= {"ok", "warning"}
    assert app.get()["version"] == "v1"


@mark.row("C7")
def test_health_check_waits_for_a_slow_start_and_a_warm_up_until_the_deadline(app: App) -> None:
    app.program(version="v1", starts_after=2, health_sequence=[503] * 10 + [200])
    app.config(health={"deadline_s": 1})
    early = app.deploy()
    assert (early.code, early.result["outcome"]) == (6, "unhealthy")
    assert "is not healthy after 1 s: nothing listens on port" in early.result["error"]["message"]
    app.config(health={"deadline_s": LONG_S})
    ended = app.deploy().ok()
    waited = [line.get("detail", "") for line in ended.lines if line.get("name") == "health"]
    assert "/healthz answers 503, expected 200" in waited
    assert app.get()["version"] == "v1"


@dataclass(frozen=True)
class Unstartable:
    """An artifact that the kernel cannot run to its end, which only shows when it starts."""

    name: str
    complaint: str
    make: Callable[[Path], None]
    shows: str = ""


def _library_is_missing(path: Path) -> None:
    _patched(path, rb"libc\.so\.6", b"libNONE.6")


def _interpreter_is_missing(path: Path) -> None:
    path.write_text("#!../no/python\nprint('hello')\n")


UNSTARTABLE = [
    Unstartable("interpreter is missing", "its interpreter ../no/python is not there", _interpreter_is_missing),
    Unstartable("library is missing", "exited with code 127", _library_is_missing, "shared libraries: libNONE"),
]  # fmt: skip


@pytest.mark.parametrize("bad", UNSTARTABLE, ids=lambda bad: bad.name)
def test_candidate_that_cannot_be_executed_is_refused_at_once(app: App, bad: Unstartable) -> None:
    _first(app)
    app.config(health={"deadline_s": LONG_S})
    bad.make(app.directory / "program")
    refused = _refused_under_load(app, bad.complaint)
    _the_next_one_works(app)
    assert bad.shows in "\n".join(refused.result["error"]["evidence"])


def test_artifact_that_is_not_executable_is_refused_before_the_upload(app: App) -> None:
    _first(app)
    app.program(version="v2")
    (app.directory / "program").chmod(0o644)
    refused = app.deploy()
    assert (refused.code, refused.result["bytes_sent"] < 200_000) == (3, True)
    assert "not executable" in refused.result["error"]["message"]
    assert app.get()["version"] == "v1"


def test_candidate_is_unhealthy_when_the_program_in_its_directory_is_not_executable(app: App) -> None:
    _first(app)
    (app.directory / "dist/bin").mkdir(parents=True)
    shutil.copyfile(app.directory / "program", app.directory / "dist/bin/program")
    app.config(build={"artifact": "dist"}, run={"command": ["bin/program"]}, health={"deadline_s": LONG_S})
    _refused_under_load(app, "bin/program cannot be started: Permission denied")
    _the_next_one_works(app)


@mark.row("C8", "S3")
def test_stranger_on_the_candidate_port_is_named_before_the_start(app: App) -> None:
    _first(app)
    app.program(version="v2")
    with stranger(app.ports[2]):
        _refused_under_load(app, r"port \d+ of green is taken by python\S* \(process \d+\)", idle="empty")
    _the_next_one_works(app)


@pytest.mark.parametrize("index", [0, 2], ids=["nginx", "candidate"])
def test_stranger_on_another_address_with_the_same_port_does_not_prevent_a_deploy(app: App, index: int) -> None:
    with stranger(app.ports[index], "127.0.0.2"):
        _first(app)
        app.program(version="v2")
        app.deploy().ok()
    assert app.get()["version"] == "v2"


@mark.row("C8", "S3")
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_stranger_gets_no_traffic_when_it_takes_the_candidate_port_and_answers_200(app: App, address: str) -> None:
    _first(app)
    app.config(health={"deadline_s": LONG_S})
    app.program(version="v2", never_listens=True)
    with load(app) as visitors, in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="health", state="started")
        with stranger(app.ports[2], address):
            refused = deploying.ended()
    _named(refused, r"port \d+ is held by python\S* \(process \d+\), not by the program that was started")
    assert visitors.tally().failed == 0, visitors.tally()
    assert {color for color, _ in visitors.tally().answered_by} == {"blue"}


def test_refusal_reports_that_the_live_release_does_not_run_when_its_program_has_ended(app: App) -> None:
    _first(app)
    os.kill(app.status()["colors"]["blue"]["pid"], signal.SIGKILL)
    app.program(version="v2", exits=1)
    refused = app.deploy()
    assert refused.code == 6
    assert "on blue, which does not run" in refused.result["error"]["evidence"][0]
    _the_next_one_works(app)


def _first(app: App) -> None:
    app.program(version="v1")
    app.deploy().ok()


def _refused_under_load(app: App, complaint: str, idle: str = "failed") -> Ended:
    """Checks that the deploy is refused in time, while the live release serves on."""
    with load(app) as visitors:
        began = time.monotonic()
        refused = app.deploy()
        assert time.monotonic() - began < LONG_S / 2
        _named(refused, complaint)
        wait_for_requests(visitors)
        assert {color for color, _ in visitors.tally().answered_by} == {"blue"}
        assert app.get()["version"] == "v1"
        status = app.status()
        assert (status["live"], status["colors"]["blue"]["state"]) == ("blue", "running")
        assert status["colors"]["green"]["state"] == idle
    assert visitors.tally().failed == 0, visitors.tally()
    return refused


def _the_next_one_works(app: App) -> None:
    app.config()
    app.program(version="v3")
    assert app.deploy().ok().result["color"] == "green"
    assert app.get()["version"] == "v3"


def _named(refused: Ended, complaint: str) -> None:
    assert refused.code == 6, refused
    result = refused.result
    assert (result["outcome"], result["color"]) == ("unhealthy", "green")
    assert re.search(complaint, result["error"]["message"]), result["error"]
    assert result["release"]


def _some_program() -> bytes:
    """A dynamically linked program of this machine."""
    return Path(shutil.which("true") or "/bin/true").resolve().read_bytes()


def _patched(path: Path, pattern: bytes, instead: bytes) -> None:
    """Replaces a name by another of the same length, so that the file stays valid."""
    program = _some_program()
    match = re.search(pattern + rb"\0", program)
    assert match
    name = match[0][:-1]
    assert len(instead) == len(name)
    path.write_bytes(program.replace(name, instead))


def test_health_check_asks_whether_the_path_is_right_when_the_program_answers_404(app: App) -> None:
    app.program(version="v1", health=404)
    app.config(health={"path": "/healthz", "deadline_s": 1})
    refused = app.deploy()
    assert refused.code == 6
    assert "is [health] path the right one" in refused.err


def test_unhealthy_message_counts_the_probes_only_when_the_program_keeps_running(app: App) -> None:
    app.program(version="v1", exits=3)
    refused = app.teal("deploy")
    assert (refused.code, "times" in refused.err) == (6, False)
    app.program(version="v1", health=503)
    app.config(health={"deadline_s": 1})
    refused = app.teal("deploy")
    assert (refused.code, "times and was never well" in refused.err) == (6, True)
