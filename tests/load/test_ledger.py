"""What is lost and what is doubled is decided from two lists; each mistake in them is told."""

from collections import Counter

from bench.load.ledger import Verdict, verdict


def test_each_answered_once_is_clean() -> None:
    found = verdict({"a": True, "b": True}, Counter("ab"))
    assert (found, found.clean) == (Verdict(2, 0, 0, 0), True)


def test_no_answer_is_lost_whether_it_was_handled_or_not() -> None:
    assert verdict({"a": False, "b": False, "c": True}, Counter("bc")) == Verdict(3, 2, 0, 0)


def test_what_was_handled_twice_is_doubled_answered_or_not() -> None:
    assert verdict({"a": True, "b": False}, Counter("aabb")) == Verdict(2, 1, 2, 0)


def test_an_answer_that_nobody_made_is_told() -> None:
    assert verdict({"a": True, "b": True}, Counter("a")) == Verdict(2, 0, 0, 1)


def test_nothing_asked_is_not_clean() -> None:
    assert not verdict({}, Counter()).clean
