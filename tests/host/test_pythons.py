"""The server side on every Python that a server may have, and its message on a Python that is too old."""

import functools
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import teal_host
from harness.world import App
from host import pipe
from teal.config.read import load
from teal.ground.errors import CannotReach
from teal.pipe import bootstrap
from teal.pipe.session import Session
from teal.stories import deploy, queries, secrets
from teal.stories.deploy import DeployOptions
from teal.stories.destroy import DestroyOptions, destroy
from teal.stories.exec import run_command
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.transports import Transport
from teal.transports.local import local
from teal.ui.plain import Quiet
from teal_host.ground import archive

GOOD = [(3, minor) for minor in range(9, 15)]
TOO_OLD = [(3, 6), (3, 7), (3, 8)]


@functools.cache
def python(major: int, minor: int) -> str | None:
    """A Python that really runs: a shim of a version manager may exist and still refuse."""
    name = f"python{major}.{minor}"
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [shutil.which(name), *map(str, sorted(home.glob(f"versions/{major}.{minor}.*/bin/{name}")))]
    return next((place for place in places if place and _runs(place)), None)


def _runs(place: str) -> bool:
    try:
        return (
            subprocess.run([place, "-I", "-S", "-c", ""], capture_output=True, timeout=120, check=False).returncode == 0
        )
    except OSError:
        return False


@pytest.fixture(params=GOOD, ids=lambda version: "{}.{}".format(*version))
def good(request: pytest.FixtureRequest) -> str:
    return _found(request.param)


@pytest.fixture(params=TOO_OLD, ids=lambda version: "{}.{}".format(*version))
def too_old(request: pytest.FixtureRequest) -> str:
    return _found(request.param)


@pytest.fixture
def oldest() -> str:
    return _found((3, 9))


def _found(version: tuple[int, int]) -> str:
    interpreter = python(*version)
    if interpreter is None:
        pytest.skip("there is no Python {}.{} here that runs".format(*version))
    return interpreter


def test_server_side_greets_and_answers_on_every_python(good: str, tmp_path: Path) -> None:
    heard = pipe.say(tmp_path / "state", pipe.frame({"type": "status", "app": "shop"}), (good, "-I", "-S"))
    assert (heard.code, heard.err) == (0, "")
    assert f"python{'.'.join(heard.greeting['python'].split('.')[:2])}" == Path(good).name
    assert (heard.answer["type"], heard.answer["app"], heard.answer["live"]) == ("statusreport", "shop", None)


def test_server_side_makes_an_archive_that_runs_on_every_python(good: str, tmp_path: Path) -> None:
    """The archive runs on its own compiled code, because the test has spoiled its sources."""
    source = Path(teal_host.__file__).parents[1]
    made = tmp_path / "teal-host"
    code = f"import sys; sys.path.insert(0, {str(source)!r}); from teal_host.ground import archive; "
    code += f"open({str(made)!r}, 'wb').write(archive.pack(archive.sources()))"
    subprocess.run([good, "-ISB", "-c", code], check=True)
    assert archive.digest(made) == bootstrap.digest()
    spoiled = tmp_path / "spoiled"
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(spoiled, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"1/0" if name.startswith("teal_host/") and name.endswith(".py") else old.read(name))
    asked = pipe.frame({"type": "status", "app": "shop"})
    argv = [good, "-IS", str(spoiled), "--root", str(tmp_path / "state")]
    done = subprocess.run(argv, input=asked, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"type":"statusreport"' in done.stdout


def test_server_side_reads_all_that_a_request_can_hold_on_every_python(good: str, tmp_path: Path) -> None:
    """Texts, numbers, lists, tables and optional fields: Pythons before 3.10 read the types in another way."""
    run = {"command": ["./program"], "ports": {"blue": 28081, "green": 28082}, "env": {"A": "é"}, "data": True}
    health = {"path": "/x", "status": 204, "json": {"a": [1, None]}, "deadline_s": 1, "successes": 2}
    whole = pipe.spec(
        28080, run=run, health=health, verify={"path": "/"}, keep={"releases": 3, "previous_running": False}
    )
    asked = pipe.deploy(spec=whole, origin={"who": "me", "dirty": True}, wait_s=0.5, dry_run=True)
    heard = pipe.say(tmp_path / "state", pipe.frame(asked), (good, "-I", "-S"))
    assert (heard.answer["type"], heard.answer["outcome"]) == ("result", "unchanged")


def test_server_side_names_mistakes_alike_on_every_python(good: str, tmp_path: Path) -> None:
    asked = pipe.frame({"type": "logs", "app": "A", "color": "red", "lines": 1.5, "folow": True})
    heard = pipe.say(tmp_path / "state", asked, (good, "-I", "-S"))
    assert heard.answer["evidence"] == [
        'folow: unknown key; did you mean "follow"?',
        "app: 'A' must be a lower-case letter, then up to 30 of a-z, 0-9 and -",
        'color: must be one of "blue", "green", not \'red\'',
        "lines: must be a whole number, not 1.5",
    ]


@pytest.fixture
def on_the_oldest(oldest: str, app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    """An app whose server side runs on the oldest Python."""
    monkeypatch.setenv("XDG_STATE_HOME", str(app.world.home / "state"))
    transport = local()
    older = Transport(transport.name, (oldest, "-I", "-S"), transport.arguments, transport.own_session)
    monkeypatch.setattr("teal.pipe.open.choose", lambda target: older)
    return app


def test_deploy_rollback_and_destroy_work_on_the_oldest_python(on_the_oldest: App) -> None:
    app = on_the_oldest
    file = load(app.directory)
    first = deploy.deploy(file, DeployOptions(), Quiet(), Account())
    app.program(version="v2")
    second = deploy.deploy(file, DeployOptions(), Quiet(), Account())
    assert (first.outcome, second.outcome, second.previous) == ("live", "live", first.release)
    assert app.get()["version"] == "v2"
    back = rollback(file, RollbackOptions(), Quiet(), Account())
    assert (back.release, back.color) == (first.release, "blue")
    assert app.get()["version"] == "v1"
    assert queries.status(file).colors["green"].state == "running"
    assert [row.outcome for row in queries.releases(file).releases] == ["superseded", "live"]
    destroy(file, DestroyOptions(), Quiet())
    assert not app.world.root.exists()


def test_secrets_and_exec_work_on_the_oldest_python(on_the_oldest: App) -> None:
    file = load(on_the_oldest.directory)
    secrets.set_secret(file, secrets.Secret("TOKEN", "é\n"), 0, Quiet())
    deploy.deploy(file, DeployOptions(), Quiet(), Account())
    output: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def write(stream: str, data: bytes) -> None:
        output[stream] += data

    ended = run_command(file, ("sh", "-c", 'printf %s "$TOKEN"; echo x > /dev/stderr; exit 7'), None, write)
    assert (ended.code, output) == (7, {"stdout": "é\n".encode(), "stderr": b"x\n"})
    assert [row.name for row in queries.env(file).names] == ["TOKEN"]
    secrets.unset_secret(file, "TOKEN", 0, Quiet())


def test_session_is_refused_when_the_python_is_too_old(too_old: str, tmp_path: Path) -> None:
    transport = Transport("the shop", (too_old, "-I", "-S"), ("--root", str(tmp_path / "state")), own_session=True)
    with pytest.raises(CannotReach) as refused:
        Session(transport)
    (version,) = [name for name in ("3.6", "3.7", "3.8") if name in Path(too_old).name]
    assert refused.value.message == f"the Python on the shop is {version}; Teal needs 3.9 or newer"
    assert not (tmp_path / "state").exists()
