"""Stage 0 on a server: which Python runs the server side."""

import bz2
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from teal.pipe import bootstrap

SUDO = '#!/bin/sh\nshift\nexec "$@"\n'


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def first_words(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What stage 0 says on a server whose own Python is `python`, and whose login brings the Python of this test."""
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin/sudo", SUDO)
    monkeypatch.setattr(bootstrap, "PYTHON", str(python))
    monkeypatch.setattr(bootstrap, "INSTALLED", str(tmp_path / "nothing").lstrip("/"))
    argv = [sys.executable, "-I", "-S", "-c", bootstrap.stage0(server=True), "--server"]
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(argv, input=b"", env=env, capture_output=True, timeout=60, check=False)
    return done.stdout.decode()


def test_server_side_goes_on_with_the_python_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = script(tmp_path / "python3", '#!/bin/sh\necho "went on with $1 $2 $3 and $5"\n')
    first = first_words(system, tmp_path, monkeypatch)
    assert "went on with -I -S -c and --server" in first
    assert "TEAL-HOST-SEND" not in first


def test_server_side_goes_on_with_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid():
        pytest.skip("another user than root goes on through sudo, for which this test has a stand-in that is no root")
    assert "TEAL-HOST-SEND" in first_words(tmp_path / "none", tmp_path, monkeypatch)


def test_server_side_changes_its_python_at_most_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's Python may be a script that starts another one."""
    if os.geteuid():
        pytest.skip("another user than root goes on through sudo, for which this test has a stand-in that is no root")
    system = script(tmp_path / "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    assert first_words(system, tmp_path, monkeypatch).count("TEAL-HOST-SEND") == 1


@pytest.mark.parametrize(("system", "word"), [("none", "TEAL-HOST-TOO-OLD 3.7"), ("python3", "of the system")])
def test_old_python_of_a_login_matters_only_where_the_system_has_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, word: str
) -> None:
    """A `python3` that a login puts before that of the system on PATH led to the hint to install what was there."""
    stage0, old = bootstrap.stage0, "import sys; sys.version_info = (3, 7, 17)"
    monkeypatch.setattr(bootstrap, "stage0", lambda server: f"{old}\n{stage0(server)}")
    script(tmp_path / "python3", "#!/bin/sh\necho of the system\n")
    assert first_words(tmp_path / system, tmp_path, monkeypatch).splitlines()[-1] == word


@pytest.mark.parametrize(("server", "decompress"), [(True, bz2.decompress), (False, zlib.decompress)])
def test_payload_gives_back_the_sources_to_the_letter(server: bool, decompress: Callable[[bytes], bytes]) -> None:
    program = decompress(bootstrap.payload(server)[8:]).decode()
    made: dict[str, dict[str, str]] = {}
    exec(program.removesuffix(bootstrap._text("stage1.py")), made)
    assert made["SOURCES"] == bootstrap.sources()


def test_python_without_bz2_is_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid():
        pytest.skip("another user than root goes on through sudo, for which this test has a stand-in that is no root")
    stage0 = bootstrap.stage0
    monkeypatch.setattr(bootstrap, "stage0", lambda server: f"import sys; sys.modules['bz2'] = None; {stage0(server)}")
    assert first_words(tmp_path / "none", tmp_path, monkeypatch).split() == ["TEAL-HOST-INCOMPLETE", "bz2"]
