"""Room for a release: Teal checks bytes and inodes before the upload, and memory before the start."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from teal_host.ground import processes
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.provisioning.server import ServerProvisioning
from teal_host.steps import candidate, receive, release
from teal_host.wire.app import AppSpec, Health, Keep, Run, Site, Verify
from teal_host.wire.manifest import Entry, Manifest, Origin, digest_of
from teal_host.wire.requests import Deploy

MIB = 1024 * 1024
SPARE = 64 * MIB  # more than a release ever takes
SPEC = AppSpec("shop", Site(), Run(("./program",)), Health(), Verify(), Keep())


@pytest.fixture
def paths(tmp_path: Path) -> AppPaths:
    made = HostPaths(tmp_path).app("shop")
    made.releases.mkdir(parents=True)
    return made


@dataclass(frozen=True)
class Disk:
    """The disk as statvfs(3) reports it. Some file systems count no inodes."""

    free: int
    f_favail: int
    f_files: int = 10_000
    f_frsize: int = 4096
    f_blocks: int = 10_000_000

    @property
    def f_bavail(self) -> int:
        return self.free // self.f_frsize


def manifest(size: int) -> Manifest:
    entries = (Entry("program", "file", size, "a" * 64, False),)
    return Manifest(digest_of(entries), entries)


@pytest.mark.row("F1", "F3")
@pytest.mark.parametrize(
    ("disk", "installed", "expected"),
    [
        (Disk(SPARE + 10 * MIB, 101), 0, ""),
        (Disk(SPARE + 10 * MIB - 1, 101), 0, "the disk has 77,590,528 bytes free, this release needs 77,594,624"),
        (Disk(SPARE + 4 * MIB, 101), 6 * MIB, ""),
        (Disk(SPARE + 4 * MIB, 101), 5 * MIB, "bytes free, this release needs"),
        (Disk(SPARE + 10 * MIB, 100), 0, "the disk has only 100 inodes free"),
        (Disk(SPARE + 10 * MIB, 0, f_files=0), 0, ""),
    ],
    ids=["just enough", "too full", "the rest fits", "the rest does not", "too few inodes", "inodes are not counted"],
)
def test_release_is_refused_when_the_disk_lacks_bytes_or_inodes(
    paths: AppPaths, monkeypatch: pytest.MonkeyPatch, disk: Disk, installed: int, expected: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    complaint = ""
    try:
        release.check_free_space(paths, manifest(10 * MIB), SPARE - installed)
    except BadRequest as refused:
        assert refused.hint
        complaint = refused.message
    assert expected in complaint if expected else complaint == ""


@pytest.mark.parametrize(("free", "is_of_key"), [(74 * MIB, False), (522 * MIB, True), (521 * MIB, True)])
def test_upload_of_a_deploy_key_leaves_room_on_the_disk_as_it_is_once_the_upload_begins(
    paths: AppPaths, monkeypatch: pytest.MonkeyPatch, free: int, is_of_key: bool
) -> None:
    """Eight connections of a key asked at one moment, and each had the same room."""
    monkeypatch.setattr(os, "statvfs", lambda path: Disk(free, 101, f_blocks=100_000_000))
    app: Any = SimpleNamespace(paths=paths, step=lambda name: contextlib.nullcontext(SimpleNamespace()))
    channel: Any = SimpleNamespace(is_of_key=is_of_key)
    scene: Any = SimpleNamespace(records=[])

    def begin(scene: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(receive, "index_stored_files", begin)
    request = Deploy(SPEC, manifest(10 * MIB), Origin(), "0" * 32)
    with pytest.raises(BadRequest if free == 521 * MIB else ConnectionResetError):
        receive.receive_release(app, request, scene, channel)


@pytest.mark.row("F1")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_upload_leaves_nothing_when_the_disk_becomes_full(paths: AppPaths, number: int) -> None:
    """A cut upload leaves the start of the next upload. On a full disk such files would be in the way."""
    content = b"x" * MIB
    entries = (Entry("program", "file", 2 * MIB, hashlib.sha256(content * 2).hexdigest(), True),)

    def pieces(stopped: BaseException) -> Iterator[bytes]:
        yield content
        raise stopped

    def upload(stopped: BaseException) -> list[Any]:
        with (
            pytest.raises(type(stopped)),
            release.Unfinished(paths, "0001-x", Manifest(digest_of(entries), entries)) as begun,
        ):
            begun.write(0, pieces(stopped))
        return list(paths.releases.iterdir())

    assert len(upload(ConnectionResetError())) == 1
    assert upload(OSError(number, os.strerror(number))) == []


@pytest.mark.row("F8")
@pytest.mark.parametrize(
    ("free", "warning"), [(30_000_000, ""), (29_999_999, "blue holds 30 MB of memory, and only 29 MB")]
)
def test_candidate_warns_when_memory_is_short_for_a_second_copy(
    monkeypatch: pytest.MonkeyPatch, free: int, warning: str
) -> None:
    monkeypatch.setattr(processes, "resident", lambda pids: 10_000_000 * len(pids))
    monkeypatch.setattr(processes, "available_memory", lambda: free)
    monkeypatch.setattr(processes, "total_memory", lambda: 100_000_000)
    warnings: list[str] = []
    supervisor = SimpleNamespace(pids=lambda place: {1, 2, 3})
    host = SimpleNamespace(supervisor=supervisor, provisioning=ServerProvisioning)
    app: Any = SimpleNamespace(host=host, warn=warnings.append)
    live: Any = SimpleNamespace(color="blue", slot_paths=None)
    candidate.warn_if_memory_is_short(app, live)
    assert [text.startswith(warning) and "the new one that is ended" in text for text in warnings] == [True] * bool(
        warning
    )
