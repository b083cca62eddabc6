"""The real server side gets messages that no client sends.

Each time it sends one Failure, no traceback, and keeps nothing.
"""

import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.world import free_ports
from host import pipe
from host.pipe import deploy, files, frame, lengths, manifest, raw, spec

BODY = b"#!/bin/sh\n"
ONE = files({"program": BODY})
LOCKED = {"var", "var/lib", "var/lib/teal", "var/lib/teal/shop", "var/lib/teal/shop/lock"}
READY = LOCKED | {"var/lib/teal/shop/releases"}  # an empty directory
SEALED = READY | {"var/lib/teal/shop/records"}  # two empty directories
NOTHING: set[str] = set()
COMMIT = frame({"type": "commit"})


def block(data: bytes, last: bool = True) -> bytes:
    return frame({"type": "block", "last": last}, data)


def part(count: int, packing: str = "zlib") -> bytes:
    """The number of files that follow. If no files follow, the number does not matter."""
    return frame({"type": "part", "count": max(1, count), "packing": packing})


def asked(entries: list[dict[str, Any]] | None = None, **changes: Any) -> bytes:
    """A deploy, on a port that nobody uses."""
    here = {"spec": spec(free_ports(1)[0]), **changes}
    return frame(deploy(entries, **here)) + part(1 if entries is None else len(entries))


def sent(entries: list[dict[str, Any]], body: bytes) -> bytes:
    return asked(entries) + block(zlib.compress(body))


def entry(path: str = "program", **changes: Any) -> dict[str, Any]:
    return {**files({path: BODY})[0], **changes}


def chain(depth: int, innermost: Any) -> Any:
    return {"a": chain(depth - 1, innermost)} if depth else innermost


@dataclass(frozen=True)
class Case:
    """The sent bytes, and the expected message. Only `remains` may be below the state root afterwards."""

    name: str
    sent: Callable[[], bytes]
    message: str
    remains: set[str] = field(default_factory=set)
    code: str = "config"


def bad_spec(name: str, message: str, **changes: Any) -> Case:
    return Case(name, lambda: asked(spec=spec(**changes)), message)


def bad_entries(name: str, message: str, *entries: dict[str, Any]) -> Case:
    return Case(name, lambda: asked(list(entries)), message)


CASES = [
    # --- no frame at all
    Case("nothing", lambda: b"", "the client went away", code="cancelled"),
    Case("2 GB of message", lambda: lengths(2**31), "2,147,483,648 + 0 bytes is larger"),
    Case("4 GB of body", lambda: lengths(2, 2**32 - 1) + b"{}", "larger than allowed"),
    Case("a frame cut in its lengths", lambda: frame({"type": "status", "app": "shop"})[:5], "the pipe ended"),
    Case("a frame cut in its message", lambda: frame({"type": "status", "app": "shop"})[:-1], "the pipe ended"),
    Case("a frame cut in its body", lambda: lengths(2, 9) + b"{}1234", "the pipe ended"),
    Case("text", lambda: b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n", "larger than allowed"),
    Case("not JSON", lambda: raw(b"type: status"), "not JSON"),
    Case("not UTF-8", lambda: raw(b'{"type":"status","app":"\xff"}'), "not JSON"),
    Case("NaN", lambda: raw(b'{"type":"status","app":NaN}'), "NaN is not JSON"),
    Case("not an object", lambda: raw(b'["status"]'), "not a JSON object"),
    Case("deep JSON", lambda: raw(b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}"), "nested deeper"),
    Case("quotes without end", lambda: raw(b'{"type":"deploy",' + b'"\\' * 4_000_000), "not JSON"),
    # --- no request
    Case("no verb", lambda: frame({}), "'None' is not expected"),
    Case("an unknown verb", lambda: frame({"type": "shell", "cmd": "id"}), "'shell' is not expected"),
    Case("a verb that is a list", lambda: frame({"type": ["status"]}), "is not expected"),
    Case("an answer", lambda: frame({"type": "result", "outcome": "live"}), "'result' is not expected"),
    Case("a block before a deploy", lambda: block(b"x"), "'block' is not expected"),
    Case("a commit before a deploy", lambda: COMMIT, "'commit' is not expected"),
    Case("a request without an app", lambda: frame({"type": "status"}), "app: is missing"),
    Case(
        "a request with more than it has", lambda: frame({"type": "status", "app": "a", "root": "/"}), "root: unknown"
    ),
    Case("half a character", lambda: frame({"type": "status", "app": "a", "\ud800": 1}), "unknown key"),
    Case("a key of 2 MB", lambda: frame({"type": "status", "app": "a", "x" * 2_000_000: 1}), "unknown key"),
    Case("a key of 8 MB", lambda: frame({"type": "status", "app": "a", "x" * 8_000_000: 1}), "larger than allowed"),
    Case("200,000 keys", lambda: frame({"type": "status", **{str(n): 1 for n in range(200_000)}}), "unknown key"),
    Case("a number without end", lambda: frame({"type": "logs", "app": "a", "lines": 10**400}), "a smaller number"),
    Case("a number below all", lambda: frame({"type": "logs", "app": "a", "lines": -1}), "out of range"),
    Case("a color that is none", lambda: frame({"type": "logs", "app": "a", "color": "../x"}), "must be one of"),
    Case("an app upward", lambda: frame({"type": "destroy", "app": "..", "origin": {}}), "app: '..' must be"),
    Case("an app elsewhere", lambda: frame({"type": "status", "app": "../../etc"}), "must be a lower-case"),
    Case("an app from the root", lambda: frame({"type": "logs", "app": "/etc"}), "must be a lower-case"),
    Case("an app with a line", lambda: frame({"type": "releases", "app": "a\n"}), "must be a lower-case"),
    Case(
        "a release upward",
        lambda: frame({"type": "rollback", "app": "a", "origin": {}, "id": pipe.ID, "release": "../../x"}),
        "release: '../../x' is not the name of a release",
    ),
    Case("an id upward", lambda: asked(id="../" * 10 + "xx"), "must be 32 hex digits"),
    Case("a sender of two lines", lambda: asked(origin={"who": "me\nyou"}), "one printable line"),
    # --- no app that could run
    bad_spec("an app that is a number", "app: must be text", app=7),
    bad_spec("Teal's own name", "own name", app="teal"),
    bad_spec("a domain that is nginx", "is not a host name", site={"domains": ["a;}server{"]}),
    bad_spec("a port that is text", "must be a whole number", site={"http_port": "80; include /etc/passwd"}),
    bad_spec("a port of root", "use 1024 to 65535", run={"ports": {"blue": 80, "green": 8082}}),
    bad_spec("one port for both", "the same as blue", run={"ports": {"blue": 8082, "green": 8082}}),
    bad_spec("a command of nothing", "must name a program", run={"command": []}),
    bad_spec("an environment for Teal", "is set by Teal", run={"env": {"TEAL_SLOT": "x"}}),
    bad_spec("an environment too large", "together", run={"env": {f"A{n}": "x" * 32_000 for n in range(64)}}),
    bad_spec("a path with a second line", "must be a path", health={"path": "/\r\nHost: x"}),
    bad_spec("a wait for ever", "out of range", health={"deadline_s": 1e308}),
    bad_spec("an answer with half a character", "valid Unicode", health={"json": {"a": "\ud800"}}),
    bad_spec("an answer that is deep", "nested deeper than 16", verify={"path": "/", "json": chain(19, 1)}),
    bad_spec("an answer that no program gives", "more than 65,536 bytes", health={"json": {"a": "x" * 65_536}}),
    bad_spec("two such answers", "more than 65,536", verify={"path": "/", "json": {"a": [7] * 40_000}}),
    # --- no artifact; known abuses of archives are in test_hostile_artifacts
    bad_entries("no entry", "is empty"),
    bad_entries("a file without a digest", "must be there for a file", entry(sha256="")),
    bad_entries(
        "8 GB in two files", "at most 4,294,967,296", entry("a", size=4 * 1024**3), entry("b", size=4 * 1024**3)
    ),
    Case("a digest of something else", lambda: asked(manifest=manifest(ONE, "a" * 64)), "is not that of the entries"),
    Case("a digest that is a path", lambda: asked(manifest=manifest(ONE, "../" * 21 + "x")), "SHA-256"),
    # --- no upload
    Case("a commit before the upload", lambda: asked() + COMMIT, "'commit' is not expected", READY),
    Case("two commits", lambda: asked() + COMMIT + COMMIT, "'commit' is not expected", READY),
    Case("a second deploy", lambda: asked() + asked(), "'deploy' is not expected", READY),
    Case("an upload that never comes", asked, "the client went away", READY, "cancelled"),
    Case(
        "an upload cut short", lambda: asked() + block(zlib.compress(BODY)[:5], False), "went away", READY, "cancelled"
    ),
    Case("a block cut short", lambda: (asked() + block(zlib.compress(BODY)))[:-3], "the pipe ended", READY),
    Case("no commit", lambda: sent(ONE, BODY), "the client went away", SEALED, "cancelled"),
    Case("a block instead of the commit", lambda: sent(ONE, BODY) + block(b""), "'block' is not expected", SEALED),
    Case("no zlib", lambda: asked() + block(b"plain bytes"), "cannot be uncompressed", READY),
    Case("broken zlib", lambda: asked() + block(zlib.compress(BODY)[:2] + b"\xff" * 9), "cannot be unc", READY),
    Case("half of a stream", lambda: asked() + block(zlib.compress(BODY)[:-4]), "does not end where it should", READY),
    Case("more after the stream", lambda: asked() + block(zlib.compress(BODY) + b"x"), "does not end where", READY),
    Case(
        "a stream and then 200 MB",
        lambda: asked() + block(zlib.compress(BODY), False) + block(bytes(1024 * 1024), False) * 200 + block(b""),
        "does not end where it should",
        READY,
    ),
    Case("a byte too few", lambda: sent(ONE, BODY[:-1]), "program ends 1 bytes too early", READY),
    Case("a byte too many", lambda: sent(ONE, BODY + b"x"), "more bytes than its manifest", READY),
    Case("no byte", lambda: asked() + block(zlib.compress(b"")), "too early", READY),
    Case("a size that is too small", lambda: sent([entry(size=3)], BODY), "arrived changed", READY),
    Case("a size that is too large", lambda: sent([entry(size=300)], BODY), "ends 290 bytes too early", READY),
    Case("other bytes", lambda: sent(ONE, BODY[::-1]), "arrived changed", READY),
    Case("a digest that is no hex", lambda: sent([entry(sha256="z" * 64)], BODY), "arrived changed", READY),
    Case("the second file changed", lambda: sent(files({"a": b"1", "b": b"2"}), b"13"), "b arrived changed", READY),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
@pytest.mark.row("B7", "B8")
@pytest.mark.row("S31")
def test_server_side_refuses_malformed_input_and_keeps_nothing(case: Case, tmp_path: Path) -> None:
    root = tmp_path / "state"
    heard = pipe.say(root, case.sent())
    assert [message["type"] for message in heard.messages].count("failure") == 1
    assert (heard.answer["type"], heard.answer["code"]) == ("failure", case.code)
    assert case.message in heard.said
    assert len(heard.said) < 20_000
    assert (heard.code, heard.err) == (1, "")
    assert pipe.left(root) == case.remains


CUTS: dict[str, Callable[[], bytes]] = {
    "before the request": lambda: b"",
    "in the request": lambda: asked()[:-10],
    "before the upload": asked,
    "in the upload": lambda: asked() + block(zlib.compress(BODY)[:5], last=False),
    "before the commit": lambda: sent(ONE, BODY),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=list(CUTS))
@pytest.mark.row("B6")
def test_server_side_ends_and_keeps_nothing_when_the_client_vanishes(cut: Callable[[], bytes], tmp_path: Path) -> None:
    root = tmp_path / "state"
    errors = tmp_path / "stderr"
    with errors.open("wb") as err:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": err}
        with subprocess.Popen(pipe.argv(root), **pipes) as process:  # type: ignore[call-overload]
            process.stdin.write(pipe.packed() + cut())
            process.stdin.close()
            process.stdout.close()
            process.wait(60)
    assert errors.read_text() == ""
    assert pipe.left(root) <= SEALED


@pytest.mark.parametrize("size", [1, 2, 7])
def test_upload_is_whole_when_sent_in_tiny_blocks(size: int, tmp_path: Path) -> None:
    packed = zlib.compress(BODY)
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    tiny = b"".join(block(piece, last=False) for piece in pieces) + block(b"")
    heard = pipe.say(tmp_path / "state", asked() + tiny)
    assert [(m["name"], m["state"]) for m in heard.messages if m["type"] == "step"][-1] == ("upload", "done")
    assert heard.answer["code"] == "cancelled"


@pytest.mark.row("B8")
def test_upload_is_refused_when_the_commit_comes_before_its_last_block(tmp_path: Path) -> None:
    """All bytes arrive and are correct. Then the commit comes without the end of the stream."""
    cut = block(zlib.compress(BODY), last=False)
    heard = pipe.say(tmp_path / "state", asked() + cut + COMMIT)
    assert heard.answer["code"] == "config"
    assert "'commit' is not expected" in heard.said
    assert pipe.left(tmp_path / "state") == READY


def test_second_commit_is_ignored(tmp_path: Path) -> None:
    """The program ends at once, so no process stays behind."""
    heard = pipe.say(tmp_path / "state", sent(ONE, BODY) + COMMIT + COMMIT)
    assert [m["type"] for m in heard.messages if m["type"] in ("failure", "result")] == ["failure"]
    assert heard.answer["code"] == "unhealthy"
    assert heard.err == ""


def test_app_can_be_sent_again_after_refused_uploads(tmp_path: Path) -> None:
    for _ in range(2):
        assert pipe.say(tmp_path / "state", sent(ONE, b"other")).answer["code"] == "config"
    heard = pipe.say(tmp_path / "state", sent(ONE, BODY))
    (wanted,) = [message for message in heard.messages if message["type"] == "missingfiles"]
    assert wanted["missing"] == [0]
    assert wanted["release"].startswith("0001-")
