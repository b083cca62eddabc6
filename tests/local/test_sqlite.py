"""Data under two colors: SQLite as docs/data.md describes it, migrations, backups, and stores for one process only."""

import http.client
import itertools
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import world as worlds
from harness.background import in_background
from harness.world import REPO, App, World, wait_until

NOTES = Path(__file__).parents[1] / "apps/notes.py"
SWITCHES = int(os.environ.get("TEAL_TEST_SWITCHES", "8"))
QUICK: dict[str, Any] = {"run": {"data": True}, "health": {"path": "/", "successes": 1}}


class Writers:
    """Visitors who write notes one after the other. They report every failure and never retry."""

    _names = itertools.count(1)

    def __init__(self, app: App, count: int = 3) -> None:
        self.kept: list[str] = []  # the notes that the program answered with 200
        self.lost: list[str] = []
        self.slowest_s = 0.0
        self._port = app.ports[0]
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, daemon=True) for _ in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self.wait_for_writes()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for_writes(self, count: int = 10) -> None:
        """Waits until `count` more notes are kept."""
        wanted = len(self.kept) + count
        wait_until(lambda: len(self.kept) >= wanted)

    def _write(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        while not self._over.wait(0.03):
            text, began = f"note {next(self._names)}", time.monotonic()
            try:
                connection.request("POST", "/notes", text)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{text}: {error!r}")
                connection.close()
                continue
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            (self.kept if answer.status == 200 else self.lost).append(text if answer.status == 200 else f"{body!r}")
        connection.close()


@contextmanager
def writing(app: App) -> Iterator[Writers]:
    writers = Writers(app)
    writers.start()
    try:
        yield writers
    finally:
        writers.stop()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all tests that keep its data whole. Both colors run."""
    with worlds.world(tmp_path_factory.mktemp("sqlite")) as made:
        app = made.app("notes")
        app.config(**QUICK)
        deployed(app)
        deployed(app)
        yield app


_versions = itertools.count(1)


def choose(app: App, **behaviour: Any) -> str:
    version = f"v{next(_versions)}"
    text = f"#!{sys.executable}\nBEHAVIOUR = {dict(behaviour, version=version)!r}\n{NOTES.read_text()}"
    (app.directory / "program").write_text(text)
    return version


def deployed(app: App, **behaviour: Any) -> str:
    version = choose(app, **behaviour)
    app.deploy().ok()
    assert app.get()["version"] == version
    return version


def data(app: App) -> Path:
    return app.world.root / "var/lib/notes"


def asked(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        return connection.execute(statement).fetchall()


def check_whole(app: App, writers: Writers) -> None:
    """Checks that SQLite refused nothing, that every kept note is stored once, and that no job was torn."""
    path = data(app) / "app.db"
    assert asked(path, "PRAGMA integrity_check") == [("ok",)]
    refused = data(app) / "refused"
    assert not refused.exists(), refused.read_text()
    counts = dict(asked(path, "SELECT text, count(*) FROM notes GROUP BY text"))
    assert {text: counts.get(text) for text in writers.kept} == dict.fromkeys(writers.kept, 1)
    assert set(counts.values()) == {1}
    check_pairs(path)


def check_pairs(path: Path) -> None:
    assert asked(path, "SELECT pair FROM ticks GROUP BY pair HAVING count(*) <> 2") == []


# --- both write -----------------------------------------------------------------------------------------------------


@pytest.mark.row("J1")
@pytest.mark.timeout(900)
def test_sqlite_locks_loses_and_doubles_nothing_while_both_colors_write(app: App, counted: Callable[..., None]) -> None:
    """TEAL_TEST_SWITCHES=50 for a long run."""
    with writing(app) as writers:
        for number in range(SWITCHES):
            if number % 2:
                app.teal("rollback").ok()
            else:
                deployed(app)
            writers.wait_for_writes()
    assert writers.lost == []
    check_whole(app, writers)
    jobs = dict(asked(data(app) / "app.db", "SELECT color, count(*) FROM ticks GROUP BY color"))
    assert set(jobs) == {"blue", "green"}
    counted(switches=SWITCHES, rows_of_visitors=len(writers.kept), rows_of_jobs=sum(jobs.values()))


@pytest.mark.row("J5")
def test_sqlite_keeps_every_answered_write_when_the_live_color_is_killed(app: App) -> None:
    status = app.status()
    with writing(app) as writers:
        os.kill(status["colors"][status["live"]]["pid"], signal.SIGKILL)
        deployed(app)
        writers.wait_for_writes()
    assert writers.lost, "it was killed"
    check_whole(app, writers)


# --- migrations -----------------------------------------------------------------------------------------------------


@pytest.mark.row("J3")
def test_migration_that_fails_at_the_start_is_refused_and_changes_nothing(app: App) -> None:
    version, schema = app.get()["version"], schema_of(app)
    with writing(app) as writers:
        choose(app, migrates_badly=True)
        refused = app.deploy()
        writers.wait_for_writes()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert "exited with code 1" in refused.result["error"]["message"]
    assert "│ the migration failed: no such table: nowhere" in refused.result["error"]["evidence"]
    assert (app.get()["version"], schema_of(app)) == (version, schema)
    (data(app) / "refused").unlink()  # where the bad release wrote its refusals
    assert writers.lost == []
    check_whole(app, writers)


@pytest.mark.row("J2")
def test_migration_makes_the_requests_of_the_live_release_wait_and_loses_none(app: App) -> None:
    with writing(app) as writers:
        deployed(app, migrates_for=1.2)
        writers.wait_for_writes()
    assert writers.lost == []
    assert writers.slowest_s > 1
    check_whole(app, writers)


@pytest.mark.row("J4")
def test_added_column_does_not_disturb_the_previous_release_even_after_a_rollback(
    app: App,
) -> None:
    """The expand step: the old version does not know the column, and a rollback moves no data back."""
    old = app.get()["version"]
    with writing(app) as writers:
        exec_python(app, block("migrate.py"))
        assert "mood" in schema_of(app)
        writers.wait_for_writes()
        new = deployed(app, writes_mood=True)
        writers.wait_for_writes()
        app.teal("rollback").ok()
        assert app.get()["version"] == old
        writers.wait_for_writes()
    assert writers.lost == []
    check_whole(app, writers)
    moods = asked(data(app) / "app.db", "SELECT DISTINCT version FROM notes WHERE mood = 'well'")
    assert moods == [(new,)]
    assert asked(data(app) / "app.db", "SELECT count(*) FROM notes WHERE mood IS NULL") != [(0,)]


def schema_of(app: App) -> str:
    return str(asked(data(app) / "app.db", "SELECT sql FROM sqlite_master ORDER BY name"))


# --- backups --------------------------------------------------------------------------------------------------------


@pytest.mark.row("J6")
def test_backup_during_a_switch_is_whole_and_can_be_restored(app: App, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    choose(app)
    with writing(app) as writers, in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="start", state="started")
        before = list(writers.kept)
        copy.write_bytes(exec_python(app, block("backup.py")))
        deploying.ended().ok()
        writers.wait_for_writes()
    assert writers.lost == []
    check_whole(app, writers)
    assert asked(copy, "PRAGMA integrity_check") == [("ok",)]
    check_pairs(copy)
    then = [row[0] for row in asked(copy, "SELECT text FROM notes")]
    assert set(before) <= set(then), "what was answered before it began"

    exec_(app, copy.read_bytes(), "sh", "-c", 'cat > "$DATA_DIR/restore.db"')
    exec_python(app, block("restore.py"))
    assert [row[0] for row in asked(data(app) / "app.db", "SELECT text FROM notes")] == then
    with writing(app) as writers:
        writers.wait_for_writes()
    assert writers.lost == []
    check_whole(app, writers)
    assert {path.name for path in data(app).iterdir()} <= {"app.db", "app.db-wal", "app.db-shm"}


def block(name: str) -> str:
    """A block of docs/data.md by its name: users copy it, so the test runs it."""
    match = re.search(rf"```python\n(# {re.escape(name)}\n.*?)```", (REPO / "docs/data.md").read_text(), re.DOTALL)
    assert match, name
    return match[1]


def exec_python(app: App, script: str) -> bytes:
    return exec_(app, script.encode(), "python3", "-")


def exec_(app: App, given: bytes, *command: str) -> bytes:
    argv = app.world.argv("exec", "--", *command)
    done = subprocess.run(
        argv, cwd=app.directory, env=app.world.env, input=given, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- stores that only one process may open ----------------------------------------------------------------------------


@pytest.mark.row("J8")
def test_exclusive_store_is_named_when_a_candidate_fails_and_goes_to_a_candidate_that_waits(world: World) -> None:
    """As docs/data.md says: the candidate is healthy before it has the store, and Teal stops the old release after the
    switch.
    """
    app = world.app("notes")
    app.config(**QUICK, keep={"previous_running": False, "drain_s": 1})
    old = deployed(app, store="waits")
    with writing(app) as writers:
        choose(app, store="now or never")
        refused = app.deploy()
        assert (refused.code, refused.result["outcome"], app.get()["version"]) == (6, "unhealthy", old)
        assert "│ store: it is locked by another process" in refused.result["error"]["evidence"]
        writers.wait_for_writes()
        deployed(app, store="waits")
        writers.wait_for_writes()
        app.teal("rollback").ok()
        assert app.get()["version"] == old
        writers.wait_for_writes()
    assert writers.lost == []
    check_whole(app, writers)
