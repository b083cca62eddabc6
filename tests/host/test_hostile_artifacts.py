"""Every known abuse of archives, sent to the real server side, which refuses each as a whole and in little memory.

Teal has no archive format. So the tests try each trick in the manifest, the only place that could express the trick.
"""

import os
import stat
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.world import free_ports
from host import pipe
from host.pipe import deploy, files, frame, spec
from teal.ground.errors import HostFailed
from teal_host.wire import messages
from teal_host.wire.frames import Frame

BODY = b"#!/bin/sh\nexit 0\n"
GOOD = files({"program": BODY})
MEMORY = 256 * 1024 * 1024
BEFORE_THE_UPLOAD: set[str] = set()
IN_THE_UPLOAD = {"var", "var/lib", "var/lib/teal", "var/lib/teal/shop", "var/lib/teal/shop/lock"} | {
    "var/lib/teal/shop/releases"  # an empty directory
}


def asked(entries: list[dict[str, Any]]) -> bytes:
    files_ = max(1, sum(entry.get("kind") != "dir" for entry in entries))
    return frame(deploy(entries, spec=spec(free_ports(1)[0]))) + frame(
        {"type": "part", "count": min(files_, 40_000), "packing": "zlib"}
    )


def block(data: bytes, last: bool = True) -> bytes:
    return frame({"type": "block", "last": last}, data)


def whole(entries: list[dict[str, Any]], body: bytes) -> bytes:
    """Everything that a client sends, up to its commit."""
    return asked(entries) + block(zlib.compress(body)) + frame({"type": "commit"})


def beside(*bad: dict[str, Any]) -> bytes:
    """A good program, then a bad entry: the server side must keep neither."""
    return whole([*GOOD, *bad], BODY * (1 + sum(entry["kind"] != "dir" for entry in bad)))


def entry(path: str, **changes: Any) -> dict[str, Any]:
    return {**files({path: BODY})[0], **changes}


def folder(path: str) -> dict[str, Any]:
    return {"path": path, "kind": "dir", "size": 0, "sha256": "", "executable": False}


def zeros(megabytes: int, **first: Any) -> bytes:
    """A small file that expands to this many megabytes, a thousand times its size."""
    packer = zlib.compressobj(9)
    piece = bytes(16 * 1024 * 1024)
    begin = packer.compress(BODY + piece) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    pieces = block(begin, last=False) + block(again, last=False) * (megabytes // 16)
    return asked([{**GOOD[0], **first}]) + pieces + block(b"") + frame({"type": "commit"})


NO_PATHS = {
    "upward": "../escaped",
    "upward twice": "../../escaped",
    "upward from inside": "a/../../escaped",
    "up and down": "a/../b",
    "upward at the end": "a/..",
    "upward alone": "..",
    "absolute": "/tmp/escaped",
    "absolute twice": "//tmp/escaped",
    "here": ".",
    "from here": "./a",
    "here inside": "a/./b",
    "nothing": "",
    "nothing inside": "a//b",
    "nothing at the end": "a/",
    "NUL": "a\0b",
    "a line break": "a\nb",
    "a carriage return": "a\r",
    "an escape": "\x1b[2Ja",
    "written backwards": "a\u202eexe",
    "half a character": "\ud800",
    "a name of 256 bytes": "x" * 256,
    "a path of 1,065 bytes": "/".join(["x" * 40] * 26),
    "65 directories": "/".join(["d"] * 65),
}
KINDS = ["link", "symlink", "hardlink", "fifo", "socket", "char", "block", "device", "FILE", "", None, 2]
KEYS: dict[str, Any] = {
    "mode": 0o4755,
    "setuid": True,
    "uid": 0,
    "owner": "root",
    "target": "/etc/shadow",
    "major": 1,
    "xattrs": {"security.capability": "x"},
    "acl": [],
}
MODES = [0o4755, 0o755, "4755", "u+s", None, [True]]
TREES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "twice": ([entry("a"), entry("a")], "'a' twice"),
    "a file and a directory": ([entry("a"), folder("a")], "'a' twice"),
    "twice, far apart": ([entry("program")], "'program' twice"),
    "below a file": ([entry("a"), entry("a/b")], "below a file"),
    "above a file": ([entry("a/b"), entry("a")], "below a file"),
    "far below a file": ([entry("a"), entry("a/b/c/d/e")], "below a file"),
    "a directory below a file": ([entry("a"), folder("a/b")], "below a file"),
    "a directory with bytes": ([{**folder("a"), "size": 7}], "must be 0 for a directory"),
    "a directory with a digest": ([{**folder("a"), "sha256": "0" * 64}], "only for a file"),
    "40,001 entries": ([entry(f"d/{n}") for n in range(40_000)], "at most 40,000"),
    "5 GB": ([entry("a", size=5 * 1024**3)], "out of range"),
    "more than there can be": ([entry("a", size=10**30)], "a smaller number"),
    "less than nothing": ([entry("a", size=-1)], "out of range"),
}
NO_FOLDERS = ("upward", "up and down", "absolute", "NUL")
IN_THE_MANIFEST: dict[str, tuple[Callable[[], bytes], str]] = {
    **{f"path: {name}": (partial(beside, entry(path)), "not a path") for name, path in NO_PATHS.items()},
    **{f"folder: {name}": (partial(beside, folder(NO_PATHS[name])), "not a path") for name in NO_FOLDERS},
    **{f"kind: {kind}": (partial(beside, entry("a", kind=kind)), "must be one of") for kind in KINDS},
    **{f"key: {key}": (partial(beside, entry("a", **{key: value})), "unknown key") for key, value in KEYS.items()},
    **{f"mode: {mode}": (partial(beside, entry("a", executable=mode)), "true or false") for mode in MODES},
    **{f"tree: {name}": (partial(beside, *bad), message) for name, (bad, message) in TREES.items()},
}
IN_THE_STREAM: dict[str, tuple[Callable[[], bytes], str]] = {
    "a gigabyte for a few bytes": (lambda: zeros(1024), "more bytes than its manifest says"),
    "a gigabyte for a megabyte": (lambda: zeros(1024, size=1024 * 1024), "arrived changed"),
    "a name of the one, bytes of the other": (lambda: whole(files({"a": b"1", "b": b"2"}), b"21"), "arrived changed"),
    "less than was said": (lambda: whole(GOOD, BODY[:-1]), "1 bytes too early"),
    "more than was said": (lambda: whole(GOOD, BODY + b"\n"), "more bytes than its manifest says"),
    "a second stream behind the first": (
        lambda: asked(GOOD) + block(zlib.compress(BODY) * 2) + frame({"type": "commit"}),
        "does not end where it should",
    ),
    "gzip": (lambda: asked(GOOD) + block(b"\x1f\x8b\x08" + bytes(20)), "cannot be uncompressed"),
    "tar": (lambda: asked(GOOD) + block(b"program".ljust(512, b"\0")), "cannot be uncompressed"),
}


def refused(folder: Path, sent: bytes, message: str) -> set[str]:
    """Returns what remains below the state root. Nothing may appear beside the root."""
    heard = pipe.say(folder / "state", sent, memory=MEMORY)
    assert heard.answer["type"] == "failure"
    assert message in heard.said
    assert (heard.err, len(heard.said) < 20_000) == ("", True)
    failure = messages.from_frame(Frame(heard.answer), (messages.Failure,))
    assert (failure.code, HostFailed(failure).exit_code) == ("config", 3)
    assert set(os.listdir(folder)) <= {"state"}
    assert not os.path.exists("/tmp/escaped")
    return pipe.left(folder / "state")


@pytest.mark.parametrize(("sent", "message"), IN_THE_MANIFEST.values(), ids=list(IN_THE_MANIFEST))
@pytest.mark.row("S31")
def test_hostile_manifest_is_refused_before_the_upload(tmp_path: Path, sent: Callable[[], bytes], message: str) -> None:
    assert refused(tmp_path, sent(), message) == BEFORE_THE_UPLOAD


@pytest.mark.parametrize(("sent", "message"), IN_THE_STREAM.values(), ids=list(IN_THE_STREAM))
@pytest.mark.row("S31")
def test_hostile_upload_stream_is_refused_whole(tmp_path: Path, sent: Callable[[], bytes], message: str) -> None:
    assert refused(tmp_path, sent(), message) == IN_THE_UPLOAD


ODD = [
    "..\\escaped",
    "C:\\escaped",
    "PROGRAM",
    "Program",
    "...",
    ".. ",
    "．．",
    "%2e%2e",
    "~",
    "-rf",
    "$HOME",
    "a/.b/c",
]


@pytest.mark.row("S18")
def test_odd_file_names_are_stored_literally_in_the_release(tmp_path: Path) -> None:
    """A backslash is a letter in a name, and so is a capital.

    Arriving files have no mode but executable, and are read-only.
    """
    names = ["program", *ODD]
    heard = pipe.say(tmp_path / "state", whole(files(dict.fromkeys(names, BODY)), BODY * len(names)), memory=MEMORY)
    assert heard.answer["code"] == "unhealthy"  # the program ends at once
    (release,) = (tmp_path / "state/var/lib/teal/shop/releases").iterdir()
    assert pipe.left(release) == {*names, "a", "a/.b"}
    assert set(os.listdir(tmp_path)) == {"state"}
    for path in release.rglob("*"):
        status = path.lstat()
        assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o555
        assert status.st_nlink == 1 or stat.S_ISDIR(status.st_mode)
