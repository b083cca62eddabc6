"""Tables, plans and pictures on a terminal of 80 and of 60 columns: no line is longer, and no word is cut."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.test_picture import ONE, TWO, color, report
from teal.cli import doctor, env, releases, result, setup
from teal.cli.options import GlobalOptions
from teal.stories.result_json import Account
from teal.ui.base import Manner
from teal.ui.columns import columns, packed, table, wrapped
from teal.ui.picture import draw
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Plan, Result
from teal_host.wire.reports import Change, DoctorReport, EnvReport, EnvRow, Finding, ReleaseRow

AT = "2026-02-03T04:05:06+00:00"
TYPED = re.compile("→|with: teal")  # a line that a person copies stays whole: half a command may be another one
NOTE = "blue no longer stands by: it exited with code 1; a rollback starts 0001-aaaaaaaaaaaa again first"


def _releases(width: int | None) -> Iterator[str]:
    origin = Origin("anna", "a-laptop-of-hers", "0123456789ab", True)
    rows = [
        ReleaseRow(name, 1, "a" * 64, 8_400_000, AT, outcome, origin, "0123abcd", color, color == "blue", True)  # type: ignore[arg-type]
        for name, outcome, color in ((TWO, "live", "blue"), (ONE, "rolled_back", None))
    ]
    yield from table([releases._HEAD, *map(releases._cells, rows)], width)


def _status(width: int | None) -> Iterator[str]:
    blue, green = color(ONE, 8081, "running"), color(TWO, 8082, "running")
    yield from draw(report("green", blue, green, NOTE, previous=ONE), False, width).splitlines()


def _doctor(width: int | None) -> Iterator[str]:
    finding = Finding("standby", "warning", NOTE, "teal logs --color blue; a deploy uses it again", (NOTE,))
    yield from doctor.lines(DoctorReport("shop", (finding,), ()), Manner(config="shop.toml"), False, width)


def _result(width: int | None) -> Iterator[str]:
    account = Account(app="shop", bytes_sent=2_700_000, artifact_bytes=2_500_000, seconds={"total": 12, "watch": 10})
    live = Result("live", TWO, "green", ONE, "https://a-long-name.of-a-shop.example.com/")
    yield from result._lines(Manner(), account, live, width)
    planned = Result("live", None, None, ONE, "", plan=(f"upload 3 of 4 files; {NOTE}",))
    yield from result._lines(Manner(), account, planned, width)


def _env(width: int | None) -> Iterator[str]:
    shown = EnvReport("shop", (EnvRow("A_NAME_THAT_IS_QUITE_LONG", AT, False),), pending=True)
    yield from (part for line in env._lines(shown) for part in wrapped(line, width))


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("draw_lines", [_releases, _status, _doctor, _result, _env], ids=lambda f: f.__name__[1:])
def test_output_fits_the_terminal_and_keeps_each_word_whole(
    draw_lines: Callable[[int | None], Iterator[str]], width: int
) -> None:
    narrow, wide = list(draw_lines(width)), list(draw_lines(None))
    assert [line for line in narrow if len(line) > width and not TYPED.search(line)] == []
    assert max(map(len, wide)) > width
    assert sorted(_words(narrow)) == sorted(_words(wide))


def _words(lines: list[str]) -> set[str]:
    return set(re.split(r"[\s│]+", " ".join(lines)))


def test_plan_of_setup_fits_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "columns", lambda stream: 60)
    change = Change(f"change /etc/nginx/sites-enabled/shop, {NOTE}", ("is the text of a file " * 5,), True)
    setup._show(GlobalOptions(None, Manner()), Plan((change,)))
    lines = capsys.readouterr().err.splitlines()
    assert [line[:4] for line in lines[:3]] == ["setu", "  - ", "    "]
    assert max(map(len, lines)) <= 60


def test_columns_are_those_of_the_terminal_or_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    with (tmp_path / "file").open("w") as file:
        assert columns(file) is None
    terminal, program = os.openpty()
    with os.fdopen(terminal), os.fdopen(program, "w") as stream:
        assert columns(stream) == 72
        monkeypatch.delenv("COLUMNS")
        assert columns(stream) == os.get_terminal_size(program).columns or 80


def test_command_that_a_person_copies_is_never_split() -> None:
    live = Result("live", ONE, "green", TWO, "", replaced=TWO)
    manner = Manner(config="services/shop/deploy/teal.toml")
    assert f"  forward again with: teal -C services/shop/deploy/teal.toml rollback {TWO}" in result._lines(
        manner, Account(), live, 40
    )
    hint = "teal ssh -- ln -sfn ../releases/0007-2ab4c3d4e5f6 /var/lib/teal/shop/blue/release"
    report_of_one = DoctorReport("shop", (Finding("live", "fault", NOTE, hint, ()),), ())
    assert any(line.endswith(f"→ {hint}") for line in doctor.lines(report_of_one, Manner(), False, 60))


@pytest.mark.parametrize("given", ["²", "0", "-3", "9" * 5000, "wide"])
def test_columns_of_the_environment_that_are_no_number_do_not_count(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    terminal, program = os.openpty()
    with os.fdopen(terminal), os.fdopen(program, "w") as stream:
        monkeypatch.setenv("COLUMNS", given)
        assert columns(stream) == os.get_terminal_size(program).columns or 80


def test_text_that_cannot_be_split_keeps_its_line() -> None:
    assert wrapped(f"see {'x' * 90} there", 60) == ["see", f"    {'x' * 90}", "    there"]
    assert packed(["a" * 50, "b" * 20, "", "c"], 60) == ["a" * 50, f"    {'b' * 20}  c"]
