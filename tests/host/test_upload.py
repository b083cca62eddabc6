"""The real server side gets an artifact in every clever and many wrong ways: a release is correct, or there is none."""

import bz2
import hashlib
import lzma
import os
import random
import resource
import shutil
import subprocess
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from harness.world import free_ports
from host import pipe
from host.pipe import deploy, files, spec
from teal.sending import delta
from teal_host.ground import files as host_files
from teal_host.pipe.greet import SYNC
from teal_host.wire.frames import read_frame, write_frame

START = b"#!/bin/sh\nexit 0\n"
OLD = START + random.Random(5).randbytes(300_000)
NEW = OLD[:100_000] + b"another line" + OLD[100_000:]
SMALL = b"#!/bin/sh\nexit 0\n"


BENT = Path(__file__).parents[1] / "server/bent_host.py"
UNREADABLE = """
import errno, io, os, pathlib

def fail(*ignored):
    raise OSError(errno.EIO, os.strerror(errno.EIO))

class Failing(io.FileIO):
    readinto = fail

def opened(path, mode="r", *rest, **named):
    is_bad = mode == "rb" and path.match({pattern!r})
    return io.BufferedReader(Failing(path)) if is_bad else open_(path, mode, *rest, **named)

def pread(descriptor, *rest):
    path = pathlib.Path(os.readlink(f"/proc/self/fd/{{descriptor}}"))
    return fail() if path.match({pattern!r}) else pread_(descriptor, *rest)

open_, pathlib.Path.open = pathlib.Path.open, opened
pread_, os.pread = os.pread, pread
"""


@dataclass
class Line:
    """A conversation, message by message, with a server side that has `OLD` as its live release, or no release."""

    root: Path
    port: int
    memory: int = 256 * 1024 * 1024
    heard: list[dict[str, Any]] = field(default_factory=list)
    unreadable: str = ""  # the disk gives an error for each file whose path matches

    def __enter__(self) -> "Line":
        limit = self.memory
        bent = (str(BENT), UNREADABLE.format(pattern=self.unreadable)) if self.unreadable else ()
        self._process = subprocess.Popen(
            pipe.argv(self.root, (*pipe.PYTHON, *bent)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )
        self._in = cast(BinaryIO, self._process.stdin)
        self._out = cast(BinaryIO, self._process.stdout)
        self._in.write(pipe.packed())
        self._in.flush()
        seen = b""
        while not seen.endswith(SYNC):
            byte = self._out.read(1)
            assert byte, self._process.stderr.read() if self._process.stderr else ""
            seen += byte
        return self

    def __exit__(self, *rest: object) -> None:
        self._in.close()
        self._out.read()
        self._process.wait(60)
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        for end in (self._out, self._process.stderr):
            end.close()
        assert errors == b""

    def say(self, message: dict[str, Any], body: bytes = b"") -> None:
        write_frame(self._in, message, body)

    def hear(self, *kinds: str) -> dict[str, Any]:
        while (frame := read_frame(self._out)) is not None:
            self.heard.append(frame.header)
            if frame.header["type"] in kinds:
                return frame.header
        raise AssertionError(f"none of {kinds} came: {self.heard}")

    def ask(self, content: bytes) -> dict[str, Any]:
        self.say(deploy(files({"program": content}), spec=spec(self.port), id=uuid.uuid4().hex))
        return self.hear("missingfiles", "failure")

    def part(self, body: bytes, packing: str = "zlib", base: bytes | None = None, count: int = 1) -> None:
        named = {"base": hashlib.sha256(base).hexdigest()} if base is not None else {}
        self.say({"type": "part", "count": count, "packing": packing, **named})
        for start in range(0, max(1, len(body)), 100_000):
            self.say({"type": "block", "last": start + 100_000 >= len(body)}, body[start : start + 100_000])

    def commit(self) -> None:
        self.say({"type": "commit"})


def releases(root: Path) -> list[Path]:
    return sorted((root / "var/lib/teal/shop/releases").glob("[0-9]*"))


def begun(root: Path) -> list[Path]:
    return list((root / "var/lib/teal/shop/releases").glob(".upload-*"))


def deployed(line: Line) -> None:
    """The server side sealed the release, but the program ended at once, so that the test leaves no process."""
    line.commit()
    assert line.hear("failure", "result", "missingfiles")["code"] == "unhealthy"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state root whose only release holds OLD. Teal refused the release, but its files are whole."""
    root = tmp_path_factory.mktemp("first") / "state"
    with Line(root, free_ports(1)[0]) as line:
        assert line.ask(OLD)["missing"] == [0]
        line.part(zlib.compress(OLD))
        deployed(line)
    check(root, OLD)
    return root


@pytest.fixture
def root(first: Path, tmp_path: Path) -> Path:
    """A separate state root with the same release."""
    return shutil.copytree(first, tmp_path / "state", symlinks=True)


def check(root: Path, content: bytes) -> None:
    """Checks the last release that was sent. An earlier refused release is pruned with it."""
    (path,) = releases(root)
    assert path.joinpath("program").read_bytes() == content
    assert path.joinpath("program").stat().st_mode & 0o777 == 0o555


def patched(old: bytes = OLD, new: bytes = NEW, start: int = 0) -> bytes:
    return b"".join(delta.make(old, new, start))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "lzma": lzma.compress,
}


@pytest.mark.parametrize("packing", list(PACK))
def test_patch_makes_the_release_in_each_packing(root: Path, packing: str) -> None:
    with Line(root, free_ports(1)[0]) as line:
        wanted = line.ask(NEW)
        assert packing in wanted["packings"]
        assert [base["sha256"] for base in wanted["bases"]] == [hashlib.sha256(OLD).hexdigest()]
        line.part(PACK[packing](patched()), packing, OLD)
        deployed(line)
    check(root, NEW)


@pytest.mark.parametrize("packing", list(PACK))
def test_whole_file_makes_the_release_in_each_packing(root: Path, packing: str) -> None:
    with Line(root, free_ports(1)[0]) as line:
        line.ask(NEW)
        line.part(PACK[packing](NEW), packing)
        deployed(line)
    check(root, NEW)


def test_file_is_not_requested_when_a_stored_release_has_it(root: Path) -> None:
    with Line(root, free_ports(1)[0]) as line:
        assert line.ask(OLD)["missing"] == []
        deployed(line)
    check(root, OLD)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


HUNGRY = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1536 * 1024 * 1024}])
BOMB = bz2.compress(bytes(200_000_000))
WRONG: dict[str, Callable[[Line], None]] = {
    "flipped in the packing": lambda line: line.part(flipped(zlib.compress(patched()), 40), "zlib", OLD),
    "flipped in the patch": lambda line: line.part(zlib.compress(flipped(patched(), 60)), "zlib", OLD),
    "cut": lambda line: line.part(zlib.compress(patched()[:-50]), "zlib", OLD),
    "a stream without its end": lambda line: line.part(zlib.compress(patched())[:-20], "zlib", OLD),
    "of another file": lambda line: line.part(zlib.compress(patched(NEW, OLD)), "zlib", OLD),
    "a base that is not here": lambda line: line.part(zlib.compress(patched()), "zlib", b"never seen"),
    "for another packing": lambda line: line.part(zlib.compress(patched()), "lzma", OLD),
    "nothing": lambda line: line.part(b"", "bz2", OLD),
    "a bomb of zeros": lambda line: line.part(BOMB, "bz2", OLD),
    "a bomb for zlib": lambda line: line.part(zlib.compress(bytes(100_000_000), 9), "zlib", OLD),
    "a bomb for xz": lambda line: line.part(lzma.compress(bytes(100_000_000), preset=1), "lzma", OLD),
    "xz that wants 4 GB": lambda line: line.part(HUNGRY, "lzma", OLD),
    "chunks of 4 GB": lambda line: line.part(b"\xff" * 12, "plain", OLD),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
@pytest.mark.row("B7")
def test_wrong_patch_is_answered_with_a_request_for_the_whole_file(root: Path, wrong: Callable[[Line], None]) -> None:
    with Line(root, free_ports(1)[0]) as line:
        line.ask(NEW)
        wrong(line)
        line.commit()
        again = line.hear("missingfiles", "failure")
        assert (again["type"], again["missing"], again["bases"], again["begun"]) == ("missingfiles", [0], [], [])
        line.part(zlib.compress(NEW))
        deployed(line)
    check(root, NEW)


@pytest.mark.parametrize("wrong", [WRONG["flipped in the patch"], WRONG["a bomb of zeros"]])
def test_upload_is_refused_when_the_second_round_is_wrong_too(root: Path, wrong: Callable[[Line], None]) -> None:
    """The server side accepts no second patch either: it offers no base any more, and asks for nothing a third time."""
    with Line(root, free_ports(1)[0]) as line:
        line.ask(NEW)
        wrong(line)
        line.commit()
        line.hear("missingfiles")
        line.part(zlib.compress(NEW[::-1]))
        failure = line.hear("failure", "missingfiles")
        assert failure["code"] == "config"
        assert "arrived changed" in failure["message"]
    check(root, OLD)
    assert begun(root) == []


def test_patch_is_refused_in_the_second_round(root: Path) -> None:
    with Line(root, free_ports(1)[0]) as line:
        line.ask(NEW)
        line.part(b"", "bz2", OLD)
        line.commit()
        line.hear("missingfiles")
        line.part(zlib.compress(patched()), "zlib", OLD)
        assert line.hear("failure", "missingfiles")["code"] == "config"
    check(root, OLD)


def test_damaged_base_is_noticed_and_the_whole_file_requested(root: Path) -> None:
    (release,) = releases(root)
    release.chmod(0o755)
    (release / "program").chmod(0o755)
    (release / "program").write_bytes(flipped(OLD, 150_000))
    with Line(root, free_ports(1)[0]) as line:
        line.ask(NEW)
        line.part(zlib.compress(patched()), "zlib", OLD)
        line.commit()
        assert line.hear("missingfiles", "failure")["missing"] == [0]
        line.part(zlib.compress(NEW))
        deployed(line)
    assert releases(root)[-1].joinpath("program").read_bytes() == NEW


def test_damaged_copy_is_noticed_and_the_whole_file_requested(root: Path) -> None:
    (release,) = releases(root)
    release.chmod(0o755)
    (release / "program").chmod(0o755)
    (release / "program").write_bytes(flipped(OLD, 150_000))
    with Line(root, free_ports(1)[0]) as line:
        assert line.ask(OLD)["missing"] == []
        line.commit()
        assert line.hear("missingfiles", "failure")["missing"] == [0]
        line.part(zlib.compress(OLD))
        deployed(line)
    assert releases(root)[-1].joinpath("program").read_bytes() == OLD


@pytest.mark.parametrize("content", [OLD, NEW], ids=["the same", "another version"])
def test_unreadable_file_of_an_older_release_is_named_and_the_whole_file_requested(root: Path, content: bytes) -> None:
    (stored,) = releases(root)
    with Line(root, free_ports(1)[0], unreadable="releases/[0-9]*/program") as line:
        if line.ask(content)["missing"]:
            line.part(zlib.compress(patched()), "zlib", OLD)
        line.commit()
        assert line.hear("missingfiles", "failure")["missing"] == [0]
        message = f"{stored}/program cannot be read (Input/output error); program is asked for whole"
        assert [note["text"] for note in line.heard if note["type"] == "note"] == [message]
        line.part(zlib.compress(content))
        deployed(line)
    assert releases(root)[-1].joinpath("program").read_bytes() == content


def test_interrupted_upload_starts_anew_when_its_beginning_is_unreadable(root: Path) -> None:
    port = free_ports(1)[0]
    cut(root, port, 0.9)
    with Line(root, port, unreadable=".upload-*/program") as line:
        asked = line.ask(NEW)
        assert (asked["missing"], asked["begun"]) == ([0], [])
        line.part(zlib.compress(NEW))
        deployed(line)
    check(root, NEW)


def cut(
    root: Path, port: int, share: float, content: bytes = NEW, body: Callable[[bytes], bytes] | None = None
) -> None:
    """An upload whose client ends in the middle."""
    with Line(root, port) as line:
        line.ask(content)
        data = zlib.compress(content)
        line.say({"type": "part", "count": 1, "packing": "zlib"})
        line.say({"type": "block", "last": False}, data[: int(len(data) * share)])


def test_interrupted_upload_resumes_where_it_stopped(root: Path) -> None:
    port = free_ports(1)[0]
    cut(root, port, 0.9)
    with Line(root, port) as line:
        (begun_,) = line.ask(NEW)["begun"]
        assert begun_["bytes"] > 0.85 * len(NEW)
        line.part(zlib.compress(NEW[begun_["bytes"] :]))
        deployed(line)
    check(root, NEW)
    assert begun(root) == []


def test_patch_resumes_an_interrupted_upload(root: Path) -> None:
    port = free_ports(1)[0]
    cut(root, port, 0.5)
    with Line(root, port) as line:
        (begun,) = line.ask(NEW)["begun"]
        line.part(bz2.compress(patched(start=begun["bytes"])), "bz2", OLD)
        deployed(line)
    check(root, NEW)


def test_interrupted_upload_is_requested_whole_when_its_beginning_is_damaged(root: Path) -> None:
    port = free_ports(1)[0]
    cut(root, port, 0.9)
    (partial,) = begun(root)
    data = (partial / "program").read_bytes()
    (partial / "program").write_bytes(flipped(data, 77))
    with Line(root, port) as line:
        (begun_,) = line.ask(NEW)["begun"]
        line.part(zlib.compress(NEW[begun_["bytes"] :]))
        line.commit()
        again = line.hear("missingfiles", "failure")
        assert (again["missing"], again["begun"]) == ([0], [])
        line.part(zlib.compress(NEW))
        deployed(line)
    check(root, NEW)


def test_interrupted_upload_is_kept_alone_and_for_a_day(root: Path) -> None:
    port = free_ports(1)[0]
    cut(root, port, 0.9)
    (first,) = begun(root)
    cut(root, port, 0.9, NEW + b"other")
    (second,) = begun(root)
    assert first != second
    os.utime(second, (1, 1))
    with Line(root, port) as line:
        assert line.ask(NEW + b"other")["begun"] == []
    assert begun(root) == []


def test_interrupted_upload_is_not_kept_when_little_arrived(root: Path) -> None:
    cut(root, free_ports(1)[0], 0.1)
    assert begun(root) == []


def test_interrupted_upload_sends_a_short_file_anew_when_it_was_sealed(root: Path) -> None:
    """A power cut can take the end of a file and leave its mode, and nobody but root can append to such a file."""
    port = free_ports(1)[0]
    cut(root, port, 0.9)
    (partial,) = begun(root)
    (partial / "program").chmod(0o555)
    with Line(root, port) as line:
        asked = line.ask(NEW)
        assert (asked["missing"], asked["begun"]) == ([0], [])
        line.part(zlib.compress(NEW))
        deployed(line)
    check(root, NEW)


@pytest.mark.parametrize("executable", [True, False])
def test_new_file_is_written_before_its_mode_says_that_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: bool
) -> None:
    path, sizes, fchmod = tmp_path / "file", list[int](), os.fchmod

    def seal(descriptor: int, mode: int) -> None:
        sizes.append(path.stat().st_size)
        fchmod(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", seal)
    with host_files.new_file(path, executable) as file:
        file.write(b"few bytes")
    assert sizes == [9]


def test_interrupted_upload_is_private_and_not_executable(root: Path) -> None:
    cut(root, free_ports(1)[0], 0.9)
    (partial,) = begun(root)
    assert (partial / "program").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "message", [{"count": 2}, {"count": 0}, {"count": 41_000}, {"packing": "gzip"}, {"base": "../x"}]
)
def test_upload_part_is_refused_when_nobody_asked_for_it(root: Path, message: dict[str, Any]) -> None:
    with Line(root, free_ports(1)[0]) as line:
        line.ask(NEW)
        line.say({"type": "part", "count": 1, "packing": "zlib", **message})
        assert line.hear("failure")["code"] == "config"
    check(root, OLD)


def test_base_is_not_offered_when_its_listed_path_leads_upward(root: Path, tmp_path: Path) -> None:
    """The server side does not believe its own list of a release if the list names a path upward."""
    secret = root / "secret"
    secret.write_bytes(OLD)
    (listed,) = (root / "var/lib/teal/shop/records").glob("*.files")
    listed.write_text(f'[["../../../../../../secret", {len(OLD)}, "{hashlib.sha256(OLD).hexdigest()}"]]')
    with Line(root, free_ports(1)[0]) as line:
        wanted = line.ask(OLD)
        assert (wanted["missing"], wanted["bases"]) == ([0], [])


def test_upload_of_200_megabytes_takes_little_memory(tmp_path: Path) -> None:
    size, piece = 200_000_000, random.Random(8).randbytes(1_000_000)
    digest = hashlib.sha256(SMALL)
    for _ in range(size // len(piece)):
        digest.update(piece)
    listed = [{**files({"program": SMALL})[0], "size": len(SMALL) + size, "sha256": digest.hexdigest()}]
    root = tmp_path / "state"
    with Line(root, free_ports(1)[0], memory=128 * 1024 * 1024) as line:
        line.say(deploy(listed, spec=spec(line.port)))
        line.hear("missingfiles")
        line.say({"type": "part", "count": 1, "packing": "plain"})
        line.say({"type": "block", "last": False}, SMALL)
        for number in range(size // len(piece)):
            line.say({"type": "block", "last": number == size // len(piece) - 1}, piece)
        deployed(line)
        taken = [message["bytes"] for message in line.heard if message["type"] == "taken"]
    assert taken == sorted(taken)
    assert releases(root)[0].joinpath("program").stat().st_size == size + len(SMALL)
