"""The server side at the end of a pipe, for tests that send what no client would send."""

import hashlib
import io
import json
import resource
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teal.pipe import bootstrap
from teal.transports.local import find_nginx
from teal_host.pipe.greet import SYNC
from teal_host.wire.frames import read_frame, write_frame
from teal_host.wire.manifest import Entry
from teal_host.wire.typed import encode

PYTHON = (sys.executable, "-I", "-S")
ID = "0" * 32
_MEMORY = 1024**3  # bytes of memory that the server side may use, whatever the test sends


@dataclass(frozen=True)
class Heard:
    """Everything that the server side said until its end."""

    code: int
    greeting: dict[str, Any]
    messages: list[dict[str, Any]]
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        return self.messages[-1]

    @property
    def said(self) -> str:
        """The words of a failure: message and evidence."""
        return "\n".join([self.answer["message"], *self.answer["evidence"]])


def argv(root: Path, python: Sequence[str] = PYTHON) -> list[str]:
    """The argv with which the client starts the server side."""
    return [*python, "-c", bootstrap.stage0(server=False), "--root", str(root), "--nginx", str(find_nginx())]


def packed() -> bytes:
    """Packs the files at once, without waiting until the server side asks for them."""
    return bootstrap.payload(server=False)


def say(root: Path, sent: bytes, python: Sequence[str] = PYTHON, memory: int = _MEMORY) -> Heard:
    """Sends all of these bytes, whatever the server side answers, and closes the pipe.

    `memory` is the address space in bytes that the server side may use.
    """
    done = subprocess.run(
        argv(root, python),
        input=packed() + sent,
        capture_output=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )
    stream = io.BytesIO(done.stdout.partition(SYNC)[2])
    heard: list[dict[str, Any]] = []
    while (frame := read_frame(stream)) is not None:
        heard.append(frame.header)
    return Heard(done.returncode, heard[0], heard[1:], done.stderr.decode(errors="replace"))


def frame(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    stream = io.BytesIO()
    write_frame(stream, dict(header), body)
    return stream.getvalue()


def raw(header: bytes, body: bytes = b"") -> bytes:
    """A frame with any bytes, and with correct lengths."""
    return lengths(len(header), len(body)) + header + body


def lengths(header: int, body: int = 0) -> bytes:
    return struct.pack(">II", header, body)


def spec(http_port: int = 28080, **changes: Any) -> dict[str, Any]:
    """The configuration of the app as plain JSON, with changes as section=dict(...) or app="name"."""
    sections: dict[str, Any] = {
        "app": "shop",
        "site": {"domains": [], "http_port": http_port},
        "run": {"command": ["./program"]},
        "health": {"deadline_s": 5},
        "verify": {},
        "keep": {"watch_s": 0, "drain_s": 0},
    }
    for name, change in changes.items():
        sections[name] = {**sections[name], **change} if isinstance(change, dict) else change
    return sections


def files(contents: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The entries of a correct manifest."""
    return [
        {
            "path": path,
            "kind": "file",
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "executable": True,
        }
        for path, data in contents.items()
    ]


def manifest(entries: list[dict[str, Any]], digest: str | None = None) -> dict[str, Any]:
    """A manifest with the digest of its entries. The digest matches false entries, too."""
    known = {"path", "kind", "size", "sha256", "executable"}
    whole = [{**encode(Entry("x")), **entry} for entry in entries]
    plain = json.dumps([{key: entry[key] for key in entry if key in known} for entry in whole], sort_keys=True)
    return {"digest": digest or hashlib.sha256(plain.encode()).hexdigest(), "entries": entries}


def deploy(entries: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A request to deploy. The test can change `spec`, `manifest`, `origin` and the rest."""
    listed = files({"program": b"#!/bin/sh\n"}) if entries is None else entries
    return {"type": "deploy", "spec": spec(), "manifest": manifest(listed), "origin": {}, "id": ID, **changes}


def left(root: Path) -> set[str]:
    """Every file and directory below the root, as relative paths."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}
