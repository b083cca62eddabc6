"""Plain values become typed values or Mistakes: all mistakes at once, each with its place, never another exception."""

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host import pipe, values
from teal.config.model import Config
from teal_host.state.agreement import Agreement
from teal_host.state.releases import Record
from teal_host.wire import requests
from teal_host.wire.app import AppSpec, Ports, Site
from teal_host.wire.grammar import between
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Failure
from teal_host.wire.requests import Commit, Deploy
from teal_host.wire.typed import MOST_MISTAKES, Mistakes, decode, decode_known, encode, join, near, split

DEPLOY = {key: value for key, value in pipe.deploy().items() if key != "type"}
FULL = {**pipe.spec(), "run": {"command": ["./program"], "ports": {"blue": 8081, "green": 8082}, "env": {"A": "b"}}}
SERVER = {"target": "ssh://root@203.0.113.10:22", "domains": ["example.com"], "http_port": 80}
TOML = {**FULL, "build": {"command": ["make"], "env": {"A": "b"}, "artifact": "x"}, "server": SERVER}
CONFIG = {key: value for key, value in TOML.items() if key != "site"}
AGREED = encode(Agreement("shop", Site(("a.test",)), Ports(8081, 8082), "0" * 32))
NOON = "2026-01-01T12:00:00+00:00"
WRITTEN = Record("0001-" + "a" * 12, 1, "a" * 64, 10, NOON, Origin(), "abc", decode(AppSpec, FULL))
RECORD = encode(WRITTEN)
SAMPLES: list[tuple[type[Any], Any]] = [
    (Deploy, DEPLOY),
    (AppSpec, FULL),
    (Config, CONFIG),
    (Agreement, AGREED),
    (Record, RECORD),
    (Failure, encode(Failure("config", "no", ("a", "b")))),
    (requests.Rollback, {"app": "shop", "origin": {}, "id": pipe.ID, "release": "0001-" + "a" * 12, "wait_s": 1}),
    (requests.Logs, {"app": "shop", "color": "blue", "lines": 10, "follow": True}),
    (requests.Destroy, {"app": "shop", "origin": {"who": "me"}, "wait_s": 0.5}),
]


def mistakes_in(kind: type[Any], raw: object) -> list[tuple[str, str]]:
    with pytest.raises(Mistakes) as mistakes:
        decode(kind, raw)
    return [(place, reason) for place, reason in mistakes.value.mistakes]


@pytest.mark.parametrize(("kind", "sample"), SAMPLES, ids=[kind.__name__ for kind, _ in SAMPLES])
def test_decoder_accepts_the_samples(kind: type[Any], sample: Any) -> None:
    assert decode(kind, sample)


@given(values.DEPLOYS)
@settings(max_examples=60)
def test_deploy_request_survives_its_way_through_json(request: Deploy) -> None:
    assert decode(Deploy, json.loads(json.dumps(encode(request)))) == request


@given(st.data())
@settings(max_examples=400)
def test_decoder_gives_a_value_or_mistakes_for_a_spoilt_sample(data: st.DataObject) -> None:
    kind, sample = data.draw(st.sampled_from(SAMPLES))
    raw = data.draw(values.spoilt(sample))
    try:
        value = decode(kind, raw)
    except Mistakes as mistakes:
        assert mistakes.mistakes
        assert all(isinstance(place, str) and reason for place, reason in mistakes.mistakes)
        return
    assert decode(kind, json.loads(json.dumps(encode(value), allow_nan=False))) == value


@given(values.JUNK)
def test_decoder_gives_mistakes_for_junk(raw: object) -> None:
    for kind, _ in SAMPLES:
        assert mistakes_in(kind, raw)


@dataclass(frozen=True)
class Inner:
    count: Annotated[int, between(1, 9)]
    name: str = "x"


@dataclass(frozen=True)
class Outer:
    inner: Inner
    items: tuple[Inner, ...] = ()
    share: float = 0.5
    color: Literal["blue", "green"] = "blue"
    flag: bool = False
    maybe: str | None = None
    table: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("raw", "place", "reason"),
    [
        ([], "", "must be a table, not a list"),
        (None, "", "must be a table, not nothing"),
        ({}, "inner", "is missing"),
        ({"inner": {}}, "inner.count", "is missing"),
        ({"inner": {"count": 1, "nam": "x"}}, "inner.nam", 'unknown key; did you mean "name"?'),
        ({"inner": {"count": 1, "zzz": "x"}}, "inner.zzz", "unknown key"),
        ({"inner": {"count": 0}}, "inner.count", "0 is out of range; use 1 to 9"),
        ({"inner": {"count": 10**400}}, "inner.count", "must be a smaller number"),
        ({"inner": {"count": -(2**53)}}, "inner.count", "must be a smaller number"),
        ({"inner": {"count": 1 << 50_000}}, "inner.count", "must be a smaller number"),
        ({"inner": {"count": True}}, "inner.count", "must be a whole number, not True"),
        ({"inner": {"count": 1.0}}, "inner.count", "must be a whole number, not 1.0"),
        ({"inner": {"count": "1"}}, "inner.count", "must be a whole number, not '1'"),
        ({"inner": {"count": None}}, "inner.count", "must be a whole number, not nothing"),
        ({"inner": {"count": 1, "name": 1 << 50_000}}, "inner.name", "must be text, not"),
        ({"inner": {"count": 1}, "items": {}}, "items", "must be a list, not a table"),
        ({"inner": {"count": 1}, "items": [{"count": 1}, {"count": "x"}]}, "items[1].count", "must be a whole number"),
        ({"inner": {"count": 1}, "share": "1"}, "share", "must be a number, not '1'"),
        ({"inner": {"count": 1}, "share": True}, "share", "must be a number, not True"),
        ({"inner": {"count": 1}, "share": float("nan")}, "share", "must be a finite number"),
        ({"inner": {"count": 1}, "share": float("inf")}, "share", "must be a finite number"),
        ({"inner": {"count": 1}, "share": 10**400}, "share", "must be a smaller number"),
        ({"inner": {"count": 1}, "color": "red"}, "color", 'must be one of "blue", "green", not \'red\''),
        ({"inner": {"count": 1}, "color": ["blue"]}, "color", 'must be one of "blue", "green", not a list'),
        ({"inner": {"count": 1}, "flag": 1}, "flag", "must be true or false, not 1"),
        ({"inner": {"count": 1}, "maybe": 1}, "maybe", "must be text, not 1"),
        ({"inner": {"count": 1}, "table": {"a": "b"}}, "table.a", "must be a whole number"),
        ({"inner": {"count": 1}, "table": [1]}, "table", "must be a table, not a list"),
    ],
)
def test_decoder_names_the_place_and_the_reason_of_a_mistake(raw: object, place: str, reason: str) -> None:
    ((found_place, found_reason),) = mistakes_in(Outer, raw)
    assert found_place == place
    assert found_reason.startswith(reason)
    assert len(found_reason) < 200


def test_decoder_takes_the_default_when_a_value_is_left_out() -> None:
    assert decode(Outer, {"inner": {"count": 1}}) == Outer(Inner(1))


def test_decoder_takes_a_whole_number_as_a_number() -> None:
    share = decode(Outer, {"inner": {"count": 1}, "share": 3}).share
    assert (share, type(share)) == (3.0, float)


def test_decoder_reports_all_mistakes_at_once() -> None:
    raw = {"inner": {"count": 0, "x": 1}, "items": [{"count": 1}, 5, {}], "color": "red", "other": 1}
    places = [place for place, _ in mistakes_in(Outer, raw)]
    assert sorted(places) == ["color", "inner.count", "inner.x", "items[1]", "items[2].count", "other"]


def test_decoder_begins_a_place_where_the_caller_says() -> None:
    with pytest.raises(Mistakes, match=r"here\.inner\.count: is missing"):
        decode(Outer, {"inner": {}}, "here")


def test_decoder_reads_a_message_without_fields() -> None:
    assert decode(Commit, {}) == Commit()


@pytest.mark.parametrize(
    ("word", "hint"), [("comand", '; did you mean "command"?'), ("x", ""), ("", ""), ("\ud800", "")]
)
def test_decoder_suggests_a_near_word(word: str, hint: str) -> None:
    assert near(word, ["command", "ports"]) == hint


@pytest.mark.row("S11")
def test_decoder_ends_after_a_hundred_mistakes() -> None:
    """Each takes time and memory, and a message can have a million keys. At 768eec4 the decoder named all of them."""
    mistakes = mistakes_in(requests.Status, {f"app{number}": 1 for number in range(2000)})
    assert len(mistakes) == MOST_MISTAKES == 100
    assert sum("did you mean" in reason for _, reason in mistakes) == 100
    assert len(mistakes_in(requests.Status, {"b" * 1_000_000: 1})[0][0]) < 200


LATER = {"a": 1, "keep": {"hours": 2}, "run": {"ports": {"red": 3}}}


def test_unknown_keys_are_a_mistake_on_the_wire_and_left_out_on_the_disk() -> None:
    raw = join(encode(decode(AppSpec, FULL)), LATER)
    with pytest.raises(Mistakes) as mistakes:
        decode(AppSpec, raw)
    assert {mistake.path for mistake in mistakes.value.mistakes} == {"a", "keep.hours", "run.ports.red"}
    assert decode_known(AppSpec, raw) == decode(AppSpec, FULL)


def test_split_and_join_give_back_what_they_were_given() -> None:
    raw = join(encode(decode(AppSpec, FULL)), LATER)
    known, unknown = split(AppSpec, raw)
    assert unknown == LATER
    assert join(known, unknown) == raw


def test_join_takes_the_known_value_where_both_have_one() -> None:
    assert join({"a": 1, "b": {"c": 2}, "d": None}, {"a": 9, "b": {"e": 3}, "d": {"f": 4}}) == {
        "a": 1,
        "b": {"c": 2, "e": 3},
        "d": None,
    }
