"""When the new color is clearly worse than the old one, and how nginx's log is counted."""

from pathlib import Path

import pytest

from teal_host.steps.error_rate import AnswerCounts, AnswerLog, clearly_worse


def answers(failed: int, asked: int) -> AnswerCounts:
    return AnswerCounts(asked, {500: failed} if failed else {})


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ((20, 20), (0, 100)),
        ((10, 20), (0, 0)),  # nothing is known of before, and half is bad in any case
        ((5, 50), (0, 200)),
        ((8, 100), (0, 1000)),
        ((300, 1000), (100, 1000)),
        ((1000, 1000), (300, 1000)),
    ],
    ids=str,
)
def test_error_rate_is_clearly_worse_when_the_difference_is_certain_and_large(
    new: tuple[int, int], old: tuple[int, int]
) -> None:
    assert clearly_worse(answers(*new), answers(*old))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ((0, 1000), (0, 1000)),
        ((19, 19), (0, 1000)),  # too few
        ((4, 20), (0, 1000)),  # too few that failed
        ((9, 20), (0, 0)),  # nothing is known of before
        ((9, 20), (0, 19)),
        ((4, 100), (0, 1000)),
        ((40, 1000), (0, 1000)),  # worse for sure, and not by much
        ((5, 20), (2, 20)),  # may be chance
        ((150, 1000), (100, 1000)),  # it was bad before
        ((100, 100), (100, 100)),
        ((100, 100), (60, 100)),  # everything, but not twice as much
        ((0, 100), (100, 100)),
    ],
    ids=str,
)
def test_error_rate_is_not_clearly_worse_when_the_difference_is_uncertain_or_small(
    new: tuple[int, int], old: tuple[int, int]
) -> None:
    assert not clearly_worse(answers(*new), answers(*old))


def test_error_rate_names_the_failed_statuses() -> None:
    assert str(AnswerCounts(40, {502: 3, 500: 30})) == "33 of 40 failed (30 with 500, 3 with 502)"
    assert str(AnswerCounts(40, {})) == "0 of 40 failed"


def test_access_log_is_counted_as_it_comes_in_pieces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tally = AnswerLog(log)
    tally.read()  # there is none yet
    for text in ("127.0.0.1:8081 200\n127.0.0.1:80", "82 500\n- 444\nnoise\n", "127.0.0.1:8082, 127.0.0.1:8082 502\n"):
        with log.open("a") as file:
            file.write(text)
        tally.read()
    assert tally.of(8081) == AnswerCounts(1, {})
    assert tally.of(8082) == AnswerCounts(2, {500: 1, 502: 1})
    assert tally.of(80) == AnswerCounts(0, {})


def test_access_log_is_emptied_and_counted_on_when_it_has_grown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tally = AnswerLog(log)
    with log.open("a") as file:  # as nginx has it open, for appending
        for _ in range(2):
            file.write("127.0.0.1:8082 500\n" * 60_000)
            file.flush()
            tally.read()
            assert log.stat().st_size == 0
        file.write("127.0.0.1:8082 200\n")
    tally.read()
    assert tally.of(8082) == AnswerCounts(120_001, {500: 120_000})
