"""The verdict is decided from two lists: what was lost, and what was doubled.

The verdict counts each mistake in the lists.
"""

from collections import Counter

from bench.load.ledger import Verdict, verdict


def test_verdict_is_clean_when_each_request_is_answered_once() -> None:
    judged = verdict({"a": True, "b": True}, Counter("ab"))
    assert (judged, judged.clean) == (Verdict(2, 0, 0, 0), True)


def test_request_without_an_answer_is_lost_whether_handled_or_not() -> None:
    assert verdict({"a": False, "b": False, "c": True}, Counter("bc")) == Verdict(3, 2, 0, 0)


def test_request_handled_twice_is_doubled_whether_answered_or_not() -> None:
    assert verdict({"a": True, "b": False}, Counter("aabb")) == Verdict(2, 1, 2, 0)


def test_answer_that_no_handler_made_is_counted() -> None:
    assert verdict({"a": True, "b": True}, Counter("a")) == Verdict(2, 0, 0, 1)


def test_verdict_is_not_clean_without_a_request() -> None:
    assert not verdict({}, Counter()).clean
