"""What a thief of a deploy key can send to the server side: messages that are hostile, recorded or cut short."""

import dataclasses
import json
import uuid
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from harness.deploy_keys import ORIGIN, SHELL, KeyedServer, at_once, deploy, frame, raw
from teal_host.wire.app import AppSpec, Ports, ProxyRules, Sandbox, Site
from teal_host.wire.frames import MAX_BODY, MAX_HEADER
from teal_host.wire.requests import (
    Commit,
    Deploy,
    Destroy,
    Doctor,
    EnvList,
    EnvSet,
    EnvUnset,
    Exec,
    Intended,
    Logs,
    Releases,
    Rollback,
    Setup,
    Status,
)
from teal_host.wire.uploads import Block, Part


def new_id() -> str:
    return uuid.uuid4().hex


Build = Callable[[KeyedServer], bytes]


def wanting(**changes: Any) -> Build:
    """Builds a deploy whose configuration differs in these settings."""

    def build(keyed: KeyedServer) -> bytes:
        return frame(deploy(replace(keyed.spec(), **changes), b"x", new_id()))

    return build


def header_of_deploy(**changes: Any) -> Build:
    def build(keyed: KeyedServer) -> bytes:
        header = {"type": "deploy", **plain(deploy(keyed.spec(), b"x", new_id())), **changes}
        return raw(json.dumps(header).encode())

    return build


def plain(value: Any) -> dict[str, Any]:
    members = json.loads(json.dumps(dataclasses.asdict(value)))
    assert isinstance(members, dict)
    return members


def of_another(keyed: KeyedServer) -> AppSpec:
    return keyed.spec("two")


REFUSED: dict[str, tuple[Build, str, str]] = {
    # another app
    "deploy of another": (lambda k: frame(deploy(of_another(k), b"x", new_id())), "not_allowed", "not two"),
    "rollback of another": (lambda k: frame(Rollback("two", ORIGIN, new_id())), "not_allowed", "not two"),
    "status of another": (lambda k: frame(Status("two")), "not_allowed", "not two"),
    "releases of another": (lambda k: frame(Releases("two")), "not_allowed", "not two"),
    "logs of another": (lambda k: frame(Logs("two", follow=True)), "not_allowed", "not two"),
    "an app that is not there": (lambda k: frame(Status("three")), "not_allowed", "not three"),
    "an app that is a path": (lambda k: frame({"type": "status", "app": "one/../two"}), "config", "mistakes"),
    "an app with a line break": (lambda k: frame({"type": "status", "app": "one\n"}), "config", "mistakes"),
    # only the admin does these
    "setup": (lambda k: frame(Setup(k.spec(), ORIGIN)), "not_allowed", "setup"),
    "setup, only looked at": (lambda k: frame(Setup(k.spec(), ORIGIN, dry_run=True)), "not_allowed", "setup"),
    "setup with a key": (
        lambda k: frame(Setup(k.spec(), ORIGIN, k.key("two").with_suffix(".key.pub").read_text().strip())),
        "not_allowed",
        "setup",
    ),
    "taking away a key": (lambda k: frame(Setup(k.spec(), ORIGIN, no_key=k.fingerprint())), "not_allowed", "setup"),
    "destroy": (lambda k: frame(Destroy("one", ORIGIN)), "not_allowed", "destroy"),
    "doctor": (lambda k: frame(Doctor(k.spec(), 0.0)), "not_allowed", "doctor"),
    "env set": (lambda k: frame(EnvSet("one", "NAME", ORIGIN)), "not_allowed", "env set"),
    "env unset": (lambda k: frame(EnvUnset("one", "NAME", ORIGIN)), "not_allowed", "env unset"),
    "env list": (lambda k: frame(EnvList("one")), "not_allowed", "env list"),
    "exec": (lambda k: frame(Exec("one", ("id",), ORIGIN)), "not_allowed", "exec"),
    "exec in another": (lambda k: frame(Exec("two", ("id",), ORIGIN)), "not_allowed", "exec"),
    # a deploy asks for more than was agreed
    "another name": (wanting(site=Site(("evil.test",))), "config", "[server]"),
    "the name of another": (wanting(site=Site(("two.test",))), "config", "[server]"),
    "the default site": (wanting(site=Site()), "config", "[server]"),
    "another port of nginx": (wanting(site=Site(("one.test",), 8000)), "config", "[server]"),
    "a directive": (wanting(proxy=ProxyRules(directives=("root /etc;",))), "config", "[proxy]"),
    "a larger body": (wanting(proxy=ProxyRules(max_body_mb=1_000_000)), "config", "[proxy]"),
    "a capability": (wanting(sandbox=Sandbox(capabilities=("CAP_NET_ADMIN",))), "config", "[sandbox]"),
    "a place to write": (wanting(sandbox=Sandbox(writable=("/etc",))), "config", "[sandbox]"),
    "more memory": (wanting(sandbox=Sandbox(memory_mb=1_000_000)), "config", "[sandbox]"),
    "a capability as good as root": (
        header_of_deploy(spec={"sandbox": {"capabilities": ["CAP_SYS_ADMIN"]}}),
        "config",
        "mistakes",
    ),
    # the same, while the client would still build
    "another name, ahead": (
        lambda k: frame(Intended(replace(k.spec(), site=Site(("evil.test",))))),
        "config",
        "[server]",
    ),
    "another app, ahead": (lambda k: frame(Intended(k.spec("two"))), "not_allowed", "may deploy one, not two"),
    "its own app ahead, then another": (
        lambda k: frame(Intended(k.spec())) + frame(deploy(k.spec("two"), b"x", new_id())),
        "not_allowed",
        "may deploy one, not two",
    ),
    "its own app ahead, then something else": (
        lambda k: frame(Intended(k.spec())) + frame(Status("one")),
        "config",
        "not expected",
    ),
    # no message, or not one of these
    "an unknown message": (lambda k: frame({"type": "shell"}), "config", "not expected"),
    "an event as a request": (lambda k: frame({"type": "done"}), "config", "not expected"),
    "commit at once": (lambda k: frame(Commit()), "config", "not expected"),
    "bytes at once": (lambda k: frame(Block(True), b"x"), "config", "not expected"),
    "no type": (lambda k: frame({"app": "one"}), "config", "not expected"),
    "a type that is a list": (lambda k: frame({"type": ["status"]}), "config", "not expected"),
    "an unknown key": (lambda k: frame({"type": "status", "app": "one", "root": "/"}), "config", "mistakes"),
    "another user": (header_of_deploy(user="root"), "config", "mistakes"),
    "a number for a name": (lambda k: frame({"type": "status", "app": 1}), "config", "mistakes"),
    "a table for a name": (lambda k: frame({"type": "status", "app": {}}), "config", "mistakes"),
    "an id that is a path": (header_of_deploy(id="../../etc/x"), "config", "mistakes"),
    "a release that is a path": (
        lambda k: frame({"type": "rollback", "app": "one", "origin": {}, "id": "0" * 32, "release": "../x"}),
        "config",
        "mistakes",
    ),
    "an origin with a line break": (header_of_deploy(origin={"who": 'x\n{"key": "another"}'}), "config", "mistakes"),
    "a header too long": (lambda k: raw(b"", lengths=(MAX_HEADER + 1, 0)), "config", "larger than allowed"),
    "two gigabytes": (lambda k: raw(b"", lengths=(2**31, 2**31)), "config", "larger than allowed"),
    "a body too long": (lambda k: raw(b"{}", lengths=(2, MAX_BODY + 1)), "config", "larger than allowed"),
    "a header that is cut": (lambda k: raw(b'{"type":', lengths=(100, 0)), "config", "before the end"),
    "deep": (lambda k: raw(b'{"a":' * 5000 + b"1" + b"}" * 5000), "config", "deeper"),
    "deep brackets": (lambda k: raw(b"[" * 1_000_000), "config", "deeper"),
    "very wide": (lambda k: raw(b'{"type":"status","app":[' + b"{}," * 500_000 + b"{}]}"), "config", "mistakes"),
    "not JSON": (lambda k: raw(b"type: status"), "config", "not JSON"),
    "not UTF-8": (lambda k: raw(b'{"type":"\xff\xfe"}'), "config", "not JSON"),
    "NaN": (lambda k: raw(b'{"type":"rollback","wait_s":NaN}'), "config", "not JSON"),
    "a list": (lambda k: raw(b"[]"), "config", "not a JSON object"),
    "a huge number": (lambda k: raw(b'{"type":"logs","app":"one","lines":' + b"9" * 4000 + b"}"), "config", "mistakes"),
    "nothing at all": (lambda k: b"", "cancelled", "went away"),
    "a shell's words": (lambda k: SHELL, "config", ""),
    "no release of that name": (
        lambda k: frame(Rollback("one", ORIGIN, new_id(), "999")),
        "not_there",
        "is not stored here",
    ),
}


Failures = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def failures(keyed: KeyedServer) -> Failures:
    """The answers to all requests. The audit names the key for each."""
    before = len(keyed.audit())
    with keyed.unchanged(), keyed.line():
        answers = at_once({name: partial(keyed.replies_to, REFUSED[name][0](keyed)) for name in REFUSED})
    audit = [line for line in keyed.audit()[before:] if line["ended"] != "not yet"]
    ended = sorted(f"{answer[-1]['code']}: {answer[-1]['message'][:300]}" for answer in answers.values())
    assert sorted(line["ended"] for line in audit) == ended
    assert {line["key"] for line in audit} == {keyed.fingerprint()}
    return {name: answer[-1] for name, answer in answers.items()}


@pytest.mark.parametrize("name", list(REFUSED))
@pytest.mark.row("S31")
def test_deploy_key_is_refused_hostile_messages(failures: Failures, name: str) -> None:
    _, code, words = REFUSED[name]
    failure = failures[name]
    assert (failure["type"], failure["code"]) == ("failure", code)
    assert words in failure["message"] + failure["hint"]


@pytest.mark.row("S3", "S31")
def test_deploy_key_is_refused_ports_that_were_not_agreed(keyed: KeyedServer) -> None:
    spec = keyed.spec()
    replies = keyed.replies_to(
        frame(deploy(replace(spec, run=replace(spec.run, ports=Ports(8083, 8084))), b"x", new_id()))
    )
    assert (replies[-1]["code"], "[run] ports" in replies[-1]["message"]) == ("config", True)


def whole_deploy(keyed: KeyedServer) -> tuple[Deploy, bytes]:
    """Everything that a client sends in a deploy, as a thief could have recorded it."""
    keyed.app_one.program(version=f"recorded {new_id()}")
    content = (keyed.app_one.directory / "program").read_bytes()
    request = deploy(keyed.spec(), content, new_id())
    return request, frame(request) + frame(Part(1, "zlib")) + frame(Block(True), zlib.compress(content)) + frame(
        Commit()
    )


@pytest.mark.row("S31")
def test_deploy_key_replay_of_a_recorded_request_does_nothing(keyed: KeyedServer) -> None:
    request, recorded = whole_deploy(keyed)
    first = keyed.replies_to(recorded)[-1]
    assert first["outcome"] == "live"
    back = frame(Rollback("one", ORIGIN, new_id()))
    gone_back = keyed.replies_to(back)[-1]
    assert gone_back["outcome"] == "live"
    with keyed.unchanged():
        for again, answer in ((recorded, first), (back, gone_back)):
            *_, note, recorded_answer = keyed.replies_to(again)  # the recorded answer; the server does nothing
            assert recorded_answer == answer
            assert "already ran" in note["text"]
    # the artifact is already stored, so nothing is uploaded
    anew = frame(replace(request, id=new_id())) + frame(Commit())
    assert keyed.replies_to(anew)[-1]["outcome"] == "live"
    assert keyed.audit()[-1]["release"]  # a key may deploy an older artifact again, and the audit shows it


def test_deploy_key_changes_nothing_when_the_client_leaves_in_the_middle(keyed: KeyedServer) -> None:
    request, _ = whole_deploy(keyed)
    for sent in (frame(request), frame(request) + frame(Part(1, "zlib")) + frame(Block(), b"not zlib")):
        with keyed.unchanged():
            assert keyed.replies_to(sent)[-1]["type"] == "failure"
