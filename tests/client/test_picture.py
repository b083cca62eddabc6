"""The picture of `teal status`, word for word."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from teal.ui.picture import draw
from teal_host.wire.reports import ColorReport, StatusReport

ONE, TWO = "0001-aaaaaaaaaaaa", "0002-bbbbbbbbbbbb"
SINCE = "2026-02-03T04:05:06+00:00"
URL = "http://127.0.0.1:8080/"


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def color(release: str | None, port: int | None, state: str, since: str | None = SINCE) -> ColorReport:
    running = state == "running"
    return ColorReport(release, port, state, 4711 if running else None, since if running else None)  # type: ignore[arg-type]


def report(
    live: str | None, blue: ColorReport, green: ColorReport, *notes: str, previous: str | None = None
) -> StatusReport:
    return StatusReport("shop", live, {"blue": blue, "green": green}, previous, URL, notes)  # type: ignore[arg-type]


EMPTY = ColorReport(None, None, "empty")
PICTURES = {
    "nothing yet": (
        StatusReport("shop", None, {"blue": EMPTY, "green": EMPTY}, None, None),
        """\
browser ──▶ nginx ──▶ nothing yet   shop
○ blue  (empty)
○ green (empty)

nothing is deployed yet: teal deploy""",
    ),
    "the first one": (
        report("blue", color(ONE, 8081, "running"), ColorReport(None, 8082, "empty")),
        """\
browser ──▶ nginx 127.0.0.1:8080 ──▶ ● blue  live     0001-aaaaaaaaaaaa  :8081  since 2026-02-03 04:05
                                     ○ green (empty)

http://127.0.0.1:8080/
teal rollback has nothing to go back to: no stored release is known to have stayed well before""",
    ),
    "live and standby": (
        report("green", color(ONE, 8081, "running"), color(TWO, 8082, "running"), previous=ONE),
        """\
browser ──▶ nginx 127.0.0.1:8080 ──▶ ● green live     0002-bbbbbbbbbbbb  :8082  since 2026-02-03 04:05
                                     ○ blue  standby  0001-aaaaaaaaaaaa  :8081  since 2026-02-03 04:05

http://127.0.0.1:8080/
teal rollback goes to 0001-aaaaaaaaaaaa""",
    ),
    "live and failed": (
        report("blue", color(ONE, 8081, "running"), color(TWO, 8082, "failed")),
        """\
browser ──▶ nginx 127.0.0.1:8080 ──▶ ● blue  live     0001-aaaaaaaaaaaa  :8081  since 2026-02-03 04:05
                                     ○ green failed   0002-bbbbbbbbbbbb  :8082

http://127.0.0.1:8080/
teal rollback has nothing to go back to: no stored release is known to have stayed well before""",
    ),
    "live and stopped": (
        report("blue", color(ONE, 8081, "running"), color(TWO, 8082, "stopped"), previous=TWO),
        """\
browser ──▶ nginx 127.0.0.1:8080 ──▶ ● blue  live     0001-aaaaaaaaaaaa  :8081  since 2026-02-03 04:05
                                     ○ green stopped  0002-bbbbbbbbbbbb  :8082

http://127.0.0.1:8080/
teal rollback goes to 0002-bbbbbbbbbbbb, which is started first""",
    ),
    "live but it does not run": (
        report(
            "blue",
            color(ONE, 8081, "failed"),
            color(TWO, 8082, "running"),
            "blue is live but does not run: teal deploy, or teal rollback",
            "and \x1b[2J\x07",
        ),
        """\
browser ──▶ nginx 127.0.0.1:8080 ──▶ ● blue  live, failed 0001-aaaaaaaaaaaa  :8081
                                     ○ green standby      0002-bbbbbbbbbbbb  :8082  since 2026-02-03 04:05

http://127.0.0.1:8080/
teal rollback has nothing to go back to: no stored release is known to have stayed well before
! blue is live but does not run: teal deploy, or teal rollback
! and \\x1b[2J\\x07""",
    ),
    "a failed first one": (
        report(None, color(ONE, 8081, "failed"), ColorReport(None, 8082, "empty")),
        """\
browser ──▶ nginx ──▶ nothing yet   shop
○ blue  failed   0001-aaaaaaaaaaaa  :8081
○ green (empty)

nothing is deployed yet: teal deploy""",
    ),
}


@pytest.mark.parametrize(("status", "picture"), PICTURES.values(), ids=list(PICTURES))
def test_status_picture_shows_every_state(status: StatusReport, picture: str) -> None:
    assert draw(status, paint=False) == picture


@pytest.mark.parametrize("status", [status for status, _ in PICTURES.values()], ids=list(PICTURES))
def test_status_picture_has_the_same_letters_with_colors(status: StatusReport) -> None:
    painted = draw(status, paint=True)
    assert painted.count("\033[38;2;0;119;194m") == painted.count("\033[38;2;0;118;108m") == 1
    bare = painted.replace("\033[38;2;0;119;194m", "").replace("\033[38;2;0;118;108m", "").replace("\033[0m", "")
    assert bare == draw(status, paint=False)


def test_status_picture_shows_only_the_time_of_today() -> None:
    now = datetime.now().astimezone()
    status = report("blue", color(ONE, 8081, "running", now.isoformat(timespec="seconds")), EMPTY)
    assert f"since {now:%H:%M:%S}" in draw(status, paint=False)
