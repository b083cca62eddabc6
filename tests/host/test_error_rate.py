"""When the new color is clearly worse than the old one, and how nginx's log is counted."""

import os
import stat
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import BinaryIO

import pytest

from teal_host.proxies.upstream import TcpPort, UnixSocket
from teal_host.state.answers import AnswerCounts, Answered, chance, clearly_worse, client_of
from teal_host.state.seams import FALLBACK_LINE
from teal_host.steps import error_rate
from teal_host.steps.error_rate import AnswerLog, fallback_report
from teal_host.wire.reports import FallbackReport

BLUE, GREEN = TcpPort(8081), TcpPort(8082)
Rows = list[tuple[int, int]]  # of each client: failed, asked
HERE, THERE, HOUSE = client_of(b"127.0.0.1"), client_of(b"10.0.0.7"), client_of(b"2001:db8:1:2::3")


def answers(failed: int, asked: int, network: int = 203) -> AnswerCounts:
    """Each answer to a client of its own."""
    clients = {client_of(f"{network}.0.{n // 256}.{n % 256}".encode()): n < failed for n in range(asked)}
    return of({client: (int(fails), 1) for client, fails in clients.items()})


def several(*rows: tuple[int, int]) -> AnswerCounts:
    return of({client_of(f"203.0.113.{number}".encode()): row for number, row in enumerate(rows)})


def of(rows: dict[bytes, tuple[int, int]]) -> AnswerCounts:
    failed = sum(row[0] for row in rows.values())
    clients = {client: Answered(asked, failed) for client, (failed, asked) in rows.items()}
    return AnswerCounts(sum(row[1] for row in rows.values()), {500: failed} if failed else {}, clients)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ((20, 20), (0, 100)),
        ((19, 19), (0, 1000)),
        ((7, 7), (0, 0)),  # nothing is known of before, and nobody is answered well
        ((6, 50), (0, 200)),
        ((8, 100), (0, 1000)),
        ((300, 1000), (100, 1000)),
        ((1000, 1000), (300, 1000)),
    ],
    ids=str,
)
def test_error_rate_is_clearly_worse_when_the_difference_is_certain_and_large(
    new: tuple[int, int], old: tuple[int, int]
) -> None:
    assert clearly_worse(answers(*new), answers(*old, network=198))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ((0, 1000), (0, 1000)),
        ((4, 20), (0, 1000)),  # too few that failed
        ((5, 50), (0, 200)),  # too few, if one of them is an attack
        ((10, 20), (0, 0)),  # nothing is known of before
        ((9, 20), (0, 19)),
        ((4, 100), (0, 1000)),
        ((40, 1000), (0, 1000)),  # worse for sure, and not by much
        ((5, 20), (2, 20)),  # may be chance
        ((150, 1000), (100, 1000)),  # it was bad before
        ((100, 100), (100, 100)),
        ((100, 100), (60, 100)),  # everything, but not twice as much
        ((0, 100), (100, 100)),
        ((9, 9), (5, 5)),  # the same is true of few
    ],
    ids=str,
)
def test_error_rate_is_not_clearly_worse_when_the_difference_is_uncertain_or_small(
    new: tuple[int, int], old: tuple[int, int]
) -> None:
    assert not clearly_worse(answers(*new), answers(*old, network=198))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (several((2000, 2000)), several((0, 100))),
        (several((2000, 2000), (0, 10), (0, 10)), several((0, 100), (0, 10), (0, 10))),
        (several((2000, 2000), (2000, 2000), (0, 10)), several((0, 100), (0, 100), (0, 10))),
        (several((2000, 2000), (1, 20), (1, 20)), several((0, 100), (1, 20), (0, 20))),  # the others as by chance
        (of({HERE: (2000, 2000), THERE: (0, 3)}), of({HERE: (0, 100)})),  # somebody is answered well
        (of({HERE: (2000, 2000)}), of({})),
        (of({HERE: (35, 35)}), of({HERE: (3, 3)})),  # an attack through a proxy
        (of({HOUSE: (2000, 2000)}), of({HOUSE: (0, 100)})),
    ],
    ids=["alone", "among others", "two", "and chance", "beside a proxy", "nothing before", "as before", "household"],
)
def test_one_client_alone_never_makes_a_release_worse(new: AnswerCounts, old: AnswerCounts) -> None:
    assert not clearly_worse(new, old)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (several(*[(4, 4)] * 3), several(*[(0, 4)] * 3)),
        (several(*[(3, 3)] * 5), of({})),
        (several((3, 10), (4, 12), (2, 9), (5, 10)), several(*[(0, 20)] * 4)),  # a part of the answers, for everybody
        (of({HERE: (20, 20)}), of({HERE: (0, 10)})),  # a proxy, with all visitors behind it
        (of({HERE: (90, 300), THERE: (30, 100)}), of({HERE: (3, 300)})),  # two of them
        (of({b"": (20, 20)}), of({b"": (0, 10)})),  # logged without a client
    ],
    ids=["three", "nothing before", "some answers", "proxy", "proxies", "unknown"],
)
def test_release_is_clearly_worse_when_all_of_few_clients_see_it(new: AnswerCounts, old: AnswerCounts) -> None:
    assert clearly_worse(new, old)


def test_release_is_clearly_worse_when_others_see_it_beside_an_attack() -> None:
    attacker = (2000, 2000)
    assert clearly_worse(several(attacker, *[(10, 10)] * 4), several(attacker, *[(0, 5)] * 4))
    assert not clearly_worse(several(attacker, *[(0, 10)] * 4), several(attacker, *[(0, 5)] * 4))


@pytest.mark.parametrize(("new", "old"), [((3, 7), (1, 9)), ((9, 9), (0, 3)), ((0, 5), (2, 5)), ((5, 50), (0, 200))])
def test_chance_is_that_of_fishers_exact_test(new: tuple[int, int], old: tuple[int, int]) -> None:
    failed, asked = new[0] + old[0], new[1] + old[1]
    ways = sum(comb(new[1], n) * comb(old[1], failed - n) for n in range(new[0], failed + 1) if failed - n <= old[1])
    exact = float(Fraction(ways, comb(asked, failed)))
    assert chance(Answered(new[1], new[0]), Answered(old[1], old[0])) == pytest.approx(exact, rel=1e-6)


def test_client_is_an_address_or_a_household() -> None:
    assert client_of(b"203.0.113.9") == client_of(b"::ffff:203.0.113.9") != client_of(b"203.0.113.8")
    assert client_of(b"2001:db8:1:2::3") == client_of(b"2001:db8:1:ff:9::") != client_of(b"2001:db8:1:102::3")
    assert client_of(b"unix:") == client_of(b"") == b""


def test_error_rate_names_the_failed_statuses() -> None:
    assert str(AnswerCounts(40, {502: 3, 500: 30}, {})) == "33 of 40 failed (30 with 500, 3 with 502)"
    assert str(AnswerCounts(40, {}, {})) == "0 of 40 failed"
    assert several((0, 3), (1, 3)).failing_clients == "1 of 2 addresses"


def test_access_log_is_counted_as_it_comes_in_pieces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tally = AnswerLog(log, (BLUE, GREEN))
    tally.read()  # there is none yet
    pieces = (
        "|203.0.113.9 127.0.0.1:8081 200\n|203.0.113.9 127.0.0.1:80",
        "82 500\n|203.0.113.9 - 444\nnoise\n",
        "|10.0.0.7 127.0.0.1:8082, 127.0.0.1:8082 502\n",
        "127.0.0.1:8082|127.0.0.1 127.0.0.1:8082 500\n",  # Teal's own request
        "127.0.0.1:8082 500\n",  # a site's file of an earlier Teal
    )
    for text in pieces:
        with log.open("a") as file:
            file.write(text)
        tally.read()
    visitor = client_of(b"203.0.113.9")
    assert tally.of(BLUE) == AnswerCounts(1, {}, {visitor: Answered(1, 0)})
    clients = {visitor: Answered(1, 1), THERE: Answered(1, 1), b"": Answered(1, 1)}
    assert tally.of(GREEN) == AnswerCounts(3, {500: 2, 502: 1}, clients)
    assert tally.of(TcpPort(80)) == AnswerCounts(0, {}, {})


def test_answer_of_the_standby_counts_as_a_failure_of_the_color_that_was_asked_first(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(
        "|203.0.113.9 127.0.0.1:8082 : 127.0.0.1:8081 200\n"
        "|203.0.113.9 127.0.0.1:8082, 127.0.0.1:8082 : 127.0.0.1:8081 200\n"
    )
    tally = AnswerLog(tmp_path / "log", (BLUE, GREEN))
    tally.read()
    assert (tally.of(GREEN).failed, tally.of(BLUE).asked) == ({502: 2}, 0)


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("127.0.0.1:8082 : 127.0.0.1:9000 200", {8081: 0, 8082: 0, 9000: 1}),  # X-Accel-Redirect, or an error page
        ("127.0.0.1:8082 : unix:/run/legacy.sock 200", {8081: 0, 8082: 0}),
        ("127.0.0.1:8082 : 127.0.0.1:8082 200", {8081: 0, 8082: 1}),
        ("127.0.0.1:9000 : 127.0.0.1:8082 200", {8081: 0, 8082: 1, 9000: 0}),
    ],
)
def test_answer_that_leads_to_another_upstream_counts_with_its_last_status(
    line: str, asked: dict[int, int], tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(f"|203.0.113.9 {line}\n")
    tally = AnswerLog(tmp_path / "log", (BLUE, GREEN))
    tally.read()
    assert {port: tally.of(TcpPort(port)).asked for port in asked} == asked
    assert all(tally.of(TcpPort(port)).failed == {} for port in asked)


def test_answers_are_counted_when_one_color_is_on_a_socket_and_the_other_on_a_port(tmp_path: Path) -> None:
    socket = UnixSocket(Path("/run/teal/shop/green/socket"))
    (tmp_path / "log").write_text(
        f"|203.0.113.9 unix:{socket.path} 200\n"
        f"|203.0.113.9 127.0.0.1:8081 : unix:{socket.path} 200\n"
        f"|203.0.113.9 unix:{socket.path}, unix:{socket.path} : 127.0.0.1:8081 200\n"
        f"|203.0.113.9 unix:/run/teal/shop/blue/socket 200\n"
        f"unix:{socket.path}|127.0.0.1 unix:{socket.path} 500\n"
    )
    tally = AnswerLog(tmp_path / "log", (BLUE, socket))
    tally.read()
    assert (tally.of(BLUE).asked, tally.of(BLUE).failed) == (1, {502: 1})
    assert (tally.of(socket).asked, tally.of(socket).failed) == (2, {502: 1})


def test_fallback_report_counts_the_lines_of_the_log_without_reading_them_all(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert fallback_report("blue", log) == FallbackReport("blue")
    log.write_text("")
    assert fallback_report(None, log) == FallbackReport(None, 0)
    log.write_text("1700000000.000 200\n" + "1700000005.500 200\n" * 9_998 + "1700000009.999 404\n17000")
    first, last = "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:29+00:00"
    assert fallback_report("blue", log) == FallbackReport("blue", 10_000, first, last)


def test_fallback_report_counts_nothing_when_the_log_is_emptied_while_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.write_text("1700000000.000 200\n")
    look = error_rate._time_of

    def emptied_first(file: BinaryIO, line: int) -> str:
        os.truncate(log, 0)
        return look(file, line)

    monkeypatch.setattr(error_rate, "_time_of", emptied_first)
    assert fallback_report("blue", log) == FallbackReport("blue")


def test_access_log_is_emptied_and_counted_on_when_it_has_grown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tally = AnswerLog(log, (BLUE, GREEN))
    with log.open("a") as file:  # as nginx has it open, for appending
        for _ in range(2):
            file.write("|203.0.113.9 127.0.0.1:8082 500\n" * 60_000)
            file.flush()
            tally.read()
            assert log.stat().st_size == 0
        file.write("|203.0.113.9 127.0.0.1:8082 200\n")
    tally.read()
    assert tally.of(GREEN).total == Answered(120_001, 120_000)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600, "addresses of visitors are for root alone"


def test_access_log_is_counted_in_bounded_memory_when_everybody_is_somebody_else(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"|10.{n // 65536}.{n // 256 % 256}.{n % 256} 127.0.0.1:8082 500\n" for n in range(12_000)))
    tally = AnswerLog(log, (BLUE, GREEN))
    tally.read()
    seen = tally.of(GREEN)
    assert (seen.asked, len(seen.clients)) == (12_000, 10_000)


def test_log_with_lines_that_nginx_never_writes_is_counted_without_them(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"|1.2.3.4 a:" + b"9" * 5000 + b" 200\n|1.2.3.4 a:8081 200\n")
    log = AnswerLog(tmp_path / "log", (BLUE, GREEN))
    log.read()
    assert log.of(BLUE).asked == 1
    for time_ in (b"inf", b"nan", b"1e300", b"-99999999999", b"99999999999", b"x"):
        (tmp_path / "fallback").write_bytes(time_.ljust(FALLBACK_LINE))
        assert fallback_report("blue", tmp_path / "fallback") == FallbackReport("blue")
