"""What Teal shows while a command runs: word for word, and without any foreign character that could do harm."""

import io
import json
import sys
import time

import pytest

from teal.ui import Manner, choose
from teal.ui.base import STOPPED, Progress, manner, shown, size
from teal.ui.jsonlines import JsonLines, emit
from teal.ui.live import Live
from teal.ui.plain import Plain, Quiet
from teal_host.wire.messages import OVERTAKEN, Note, Step

EVIL = "\x1b]52;c;eA==\x07\x1b[2J\u202e\x9b31m\r\n\x00é"
PLAIN_EVIL = "\\x1b]52;c;eA==\\x07\\x1b[2J\\x202e\\x9b31m\\x0d\\x0a\\x00é"


STEPS = [
    Step("upload", "started"),
    Step("upload", "done", 1.234, "7 bytes"),
    Step("health", "started", 0.0, f"waiting {EVIL}"),
    Step("health", "failed", 12.5, EVIL),
    Step("start", "done", 0.0),
]


def test_plain_ui_prints_one_line_for_each_finished_step(capsys: pytest.CaptureFixture[str]) -> None:
    ui = Plain(Manner())
    for step in STEPS:
        ui.step(step)
    ui.note(Note("info", "a word"))
    ui.note(Note("warning", EVIL))
    ui.output(f"building {EVIL}")
    ui.progress(Progress("upload", 1, 2, 0.0))
    ui.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "upload   ok   1.23 s  7 bytes",
        f"health   FAILED  12.50 s  {PLAIN_EVIL}",
        "start    ok   0.00 s",
        "info: a word",
        f"warning: {PLAIN_EVIL}",
        f"  | building {PLAIN_EVIL}",
    ]


def test_plain_ui_does_not_call_a_build_failed_that_the_server_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    Plain(Manner()).step(Step("build", "failed", 0.5, STOPPED))
    assert capsys.readouterr().err == f"build    stopped   0.50 s  {STOPPED}\n"


def test_plain_ui_does_not_call_a_step_failed_that_gave_way_to_a_rollback(capsys: pytest.CaptureFixture[str]) -> None:
    Plain(Manner()).step(Step("watch", "failed", 0.5, OVERTAKEN))
    assert capsys.readouterr().err == f"watch    gave way   0.50 s  {OVERTAKEN}\n"


def test_plain_ui_says_now_and_then_what_a_step_waits_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    ui = Plain(Manner())
    for second in range(12):
        clock[0] = 100.0 + second
        ui.step(Step("health", "started", 0.0, f"look {second} {EVIL}"))
        ui.progress(Progress("upload", second * 1_000_000, 12_000_000, 1e6))
    err = capsys.readouterr().err.splitlines()
    assert err == [f"health   ... look 5 {PLAIN_EVIL}", f"health   ... look 10 {PLAIN_EVIL}"]
    clock[0] += 10
    ui.progress(Progress("upload", 1_500_000, 12_000_000, 1e6))
    assert capsys.readouterr().err == "upload   ... 1.5 MB of 12.0 MB (12 %), 1.0 MB/s, 10 s left\n"


def test_quiet_ui_prints_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    ui = Quiet()
    for step in STEPS:
        ui.step(step)
    ui.note(Note("info", "a word"))
    ui.note(Note("warning", EVIL))
    ui.output("building")
    ui.progress(Progress("upload", 1, 2, 0.0))
    ui.close()
    assert capsys.readouterr() == ("", f"warning: {PLAIN_EVIL}\n")


def test_json_ui_prints_one_object_a_line_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    ui = JsonLines()
    for step in STEPS[1:4]:
        ui.step(step)
    ui.note(Note("warning", EVIL))
    ui.output(EVIL)
    ui.progress(Progress("upload", 5, 5, 2.5))
    ui.close()
    out, err = capsys.readouterr()
    assert err == ""
    assert [json.loads(line) for line in out.split("\n")[:-1]] == [
        {"type": "step", "name": "upload", "state": "done", "seconds": 1.234, "detail": "7 bytes"},
        {"type": "step", "name": "health", "state": "started", "seconds": 0.0, "detail": f"waiting {EVIL}"},
        {"type": "step", "name": "health", "state": "failed", "seconds": 12.5, "detail": EVIL},
        {"type": "note", "level": "warning", "text": EVIL},
        {"type": "output", "line": EVIL},
        {"type": "progress", "step": "upload", "done": 5, "total": 5, "bytes_s": 2, "remaining_s": 0.0},
    ]


@pytest.mark.parametrize("text", ["é€😀", "\u2028\u2029\x85", "\ud800", "\x00\x1b", "\\ud800", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_line_holds_any_text_in_any_encoding(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    emit({"text": text})
    (line,) = raw.getvalue().splitlines()
    assert json.loads(line.decode(encoding)) == {"text": text}


def test_json_ui_limits_how_often_it_prints_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    ui = JsonLines()
    for done in range(101):
        clock[0] += 0.01
        ui.progress(Progress("upload", done, 100, 0.0))
    counts = [json.loads(line)["done"] for line in capsys.readouterr().out.splitlines()]
    assert counts[0] == 0
    assert counts[-1] == 100
    assert len(counts) <= 7


@pytest.mark.row("S9")
def test_live_ui_makes_foreign_text_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    ui = Live(Manner(terminal=True))
    for step in STEPS:
        ui.step(step)
    ui.note(Note("warning", f"[red]{EVIL}[/red]"))
    ui.output(f"[bold]{EVIL}")
    ui.progress(Progress("upload", 1, 2, 0.0))
    ui.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert f"health    12.50 s  {PLAIN_EVIL}" in err
    assert f"[red]{PLAIN_EVIL}[/red]" in err
    assert not set("\x07\x9b\x00\u202e") & set(err)


@pytest.mark.parametrize(
    ("text", "safe"),
    [("plain é 名", "plain é 名"), ("tab\there", "tab\there"), (EVIL, PLAIN_EVIL), ("\ud800", "\\xd800"), ("", "")],
)
@pytest.mark.row("S9", "S18")
def test_control_characters_are_shown_and_not_obeyed(text: str, safe: str) -> None:
    assert shown(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("::add-mask::x", "\\x3a:add-mask::x"),
        ("  ::error::x", "  \\x3a:error::x"),
        ("wrapped before ::set-output name=x::y", "wrapped before \\x3a:set-output name=x::y"),
        ("a ##[add-path]/evil", "a \\x23#[add-path]/evil"),
        ("##vso[task.setvariable]", "\\x23#vso[task.setvariable]"),
        ("##teamcity[x]", "\\x23#teamcity[x]"),
        ("###[add-path]/evil", "#\\x23#[add-path]/evil"),
        ("for ::ffff:127.0.0.1, ::a00:1", "for ::ffff:127.0.0.1, ::a00:1"),
        ("use ::std::vec", "use \\x3a:std::vec"),
        ("::ffff:10.0.0.7 GET /", "::ffff:10.0.0.7 GET /"),
        ("listens on ::1 and [::]:80", "listens on ::1 and [::]:80"),
        ("std::fs::read, ## Heading", "std::fs::read, ## Heading"),
    ],
)
@pytest.mark.row("S9")
def test_command_of_a_runner_is_shown_and_not_obeyed(text: str, safe: str) -> None:
    """GitHub's runner skips the blanks before `::`, and finds `##[` anywhere in a line."""
    assert shown(text) == safe


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (37_267, "37.3 kB"),
        (8_003_847, "8.0 MB"),
        (4_294_967_296, "4.3 GB"),
    ],
)
def test_size_is_written_in_decimal_units(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("env", "flag", "colored"),
    [
        ({}, False, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": ""}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, False, True),
    ],
)
def test_colors_follow_force_color_and_no_color(
    env: dict[str, str], flag: bool, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert manner(json=False, quiet=False, verbose=False, no_color=flag).color == colored


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        (Manner(), Plain),
        (Manner(quiet=True), Quiet),
        (Manner(json=True), JsonLines),
        (Manner(json=True, quiet=True, terminal=True), JsonLines),
        (Manner(terminal=True), Live),
        (Manner(quiet=True, terminal=True), Quiet),
    ],
)
def test_ui_is_chosen_by_the_flags_and_the_terminal(wish: Manner, kind: type) -> None:
    assert type(choose(wish)) is kind
