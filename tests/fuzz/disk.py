"""What lies on the disk: the journal, records, agreements, secrets, start.json, notes, logs, the installed archive."""

import contextlib
import io
import os
import signal
from pathlib import Path
from unittest import mock

from hypothesis import strategies as st

from fuzz.engine import Target, corpus
from fuzz.mutation import messages, mutated
from fuzz.plain import plain
from teal_host.ground import archive, lock
from teal_host.ground.journal import Journal
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.proxies.upstream import TcpPort, UnixSocket
from teal_host.state import agreement, file_index, footprint, releases, secrets
from teal_host.state.agreement import Agreement
from teal_host.state.disk_format import Unreadable
from teal_host.state.footprint import Footprint
from teal_host.state.releases import Record
from teal_host.state.secrets import StoredSecrets
from teal_host.steps.error_rate import AnswerLog, fallback_report
from teal_host.supervisors import launch
from teal_host.supervisors.process import PlainProcesses
from teal_host.wire.grammar import COLORS, release_name

RELEASE = "0001-0123456789ab"


class Started(Exception):
    """Stands in for the program."""


def app_in(folder: Path) -> AppPaths:
    paths = HostPaths(folder).app("shop")
    for needed in (paths.records, paths.agreed.parent, paths.color("blue").home):
        needed.mkdir(parents=True, exist_ok=True)
    return paths


def journal(data: bytes, folder: Path) -> object:
    (folder / "journal").write_bytes(data)
    history = Journal(folder / "journal")
    story = history.unfinished()
    assert story is None or story.color in (None, *COLORS)
    assert story is None or all(name is None or not release_name(name) for name in (story.release, story.unjudged))
    assert history.since_switch() >= 0
    history.is_newer(), history.has("a"), history.has_rollback_since(0.0), history.ending("a"), history.last_story()
    with mock.patch("teal_host.ground.journal.LONGEST", 0), mock.patch("teal_host.ground.journal.TRIMMED_TO", 64):
        history.trim()
    return story


def record(data: bytes, folder: Path) -> object:
    paths = app_in(folder)
    (paths.records / f"{RELEASE}.json").write_bytes(data)
    releases._READ.clear()
    unreadable = releases.load_unreadable(paths)
    assert len(unreadable) + len(releases.load(paths)) == 1
    return [entry.why for entry in unreadable]


def agreed(data: bytes, folder: Path) -> object:
    paths = app_in(folder)
    paths.agreed.write_bytes(data)
    return agreement.load(paths)


def put(data: bytes, folder: Path) -> object:
    paths = app_in(folder)
    paths.footprint.write_bytes(data)
    return [footprint.load(paths), [key.fingerprint for key in footprint.load(paths).deploy_keys]]


def secret(data: bytes, folder: Path) -> object:
    paths = app_in(folder)
    paths.secrets.write_bytes(data)
    return secrets.load(paths).since


def listed(data: bytes, folder: Path) -> object:
    paths = app_in(folder)
    (paths.records / f"{RELEASE}.files").write_bytes(data)
    index = file_index.load(paths, [RELEASE])
    return [file.path for files in index._by_path.values() for file in files if not file.is_stored()]


def start(data: bytes, folder: Path) -> object:
    (folder / "start").write_bytes(data)
    (folder / "blue").touch()
    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, CREDENTIALS_DIRECTORY=str(folder)))
        stack.enter_context(mock.patch.object(os, "execve", _execve))
        stack.enter_context(mock.patch.object(os, "chdir", os.stat))  # raises the same
        stack.enter_context(mock.patch.object(signal, "signal"))
        stack.enter_context(contextlib.redirect_stderr(printed))
        assert launch.main([str(folder), "blue"]) == launch.CANNOT_START
    assert printed.getvalue().removesuffix("\n").isprintable()
    return printed.getvalue().strip()


def _execve(path: str, argv: list[str], env: dict[str, str]) -> None:
    """Raises what the kernel's own raises for what it takes none of."""
    for text in (*argv, *env, *env.values()):
        if "\0" in text:
            raise ValueError("embedded null byte")
        os.fsencode(text)
    raise Started


def note(data: bytes, folder: Path) -> object:
    (folder / "lock").write_bytes(data)
    assert lock.holder(folder / "lock") is None
    color = app_in(folder).color("blue")
    color.process.write_bytes(data)
    return [lock._words(folder / "lock"), PlainProcesses().state(color).since]


def log(data: bytes, folder: Path) -> object:
    (folder / "log").write_bytes(data)
    colors = (TcpPort(8081), UnixSocket(Path("/run/teal/shop/green/socket")))
    counts = AnswerLog(folder / "log", colors)
    counts.read()
    return [*(str(counts.of(color)) for color in colors), fallback_report("blue", folder / "log")]


def archived(data: bytes, folder: Path) -> object:
    (folder / "archive").write_bytes(data)
    return [archive.digest(folder / "archive"), archive.version(folder / "archive")]


LINES = st.lists(mutated(corpus("journal"), 1), max_size=4).map(b"".join)
TARGETS = [
    Target("journal", journal, mutated(LINES)),
    Target("record", record, messages(plain(Record).map(lambda raw: {**raw, "format": 2}))),
    Target("agreement", agreed, messages(plain(Agreement).map(lambda raw: {**raw, "format": 3})), (Unreadable,)),
    Target("footprint", put, messages(plain(Footprint).map(lambda raw: {**raw, "format": 4})), (Unreadable,)),
    Target("secrets", secret, messages(plain(StoredSecrets).map(lambda raw: {**raw, "format": 2})), (Unreadable,)),
    Target("file-list", listed, mutated(corpus("file-list"))),
    Target("start", start, mutated(corpus("start")), (Started,)),
    Target("note", note, mutated(corpus("note"))),
    Target("log", log, mutated(corpus("log"))),
    Target("archive", archived, mutated(corpus("archive"))),
]
