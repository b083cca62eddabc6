"""The server side as one file: the archive runs, equals what the client sends, and only costs time when it is stale."""

import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import teal
from host.pipe import frame
from teal.pipe import bootstrap
from teal_host.ground import archive as host_archive
from teal_host.ground.paths import HostPaths
from teal_host.pipe.greet import SYNC
from teal_host.wire.sources import VERSION, is_older, without_docstrings

SOURCES = bootstrap.sources()
STATUS = frame({"type": "status", "app": "shop"})


def run(
    path: Path, *arguments: str, sent: bytes = b"", python: str = sys.executable
) -> subprocess.CompletedProcess[bytes]:
    argv = [python, "-IS", str(path), *arguments]
    return subprocess.run(argv, input=sent, capture_output=True, timeout=120, check=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "teal-host"
    path.write_bytes(host_archive.pack(SOURCES))
    return path


def test_archive_has_the_same_digest_on_both_sides(archive: Path) -> None:
    assert host_archive.digest(archive) == bootstrap.digest()
    assert host_archive.sources() == SOURCES


def test_archive_says_of_which_teal_it_is(archive: Path, tmp_path: Path) -> None:
    assert teal.__version__ == VERSION
    assert host_archive.version(archive) == VERSION
    content = archive.read_bytes()
    before = tmp_path / "before"
    before.write_bytes(content.replace(f"{VERSION} ".encode(), b"\x00" * 6))
    assert (host_archive.version(before), host_archive.digest(before)) == ("", bootstrap.digest())
    assert host_archive.version(tmp_path / "missing") == ""


ORDER = [("0.9.1", "0.10.0"), ("0.1.0", "1.0"), ("", "0.1.0"), ("strange", "0.1.0"), ("0.1", "0.1.1")]


@pytest.mark.parametrize(("older", "newer"), ORDER)
def test_versions_are_ordered_by_their_numbers(older: str, newer: str) -> None:
    assert is_older(older, newer)
    assert not is_older(newer, older)
    assert not is_older(newer, newer)


def code_of(text: str) -> str:
    """The code of a module without docstrings and comments, with the line of each statement."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        vars(node).pop("end_lineno", None)
        vars(node).pop("end_col_offset", None)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant("", lineno=node.lineno, col_offset=node.col_offset)
    return ast.dump(tree, include_attributes=True)


def test_sources_travel_without_their_docstrings_and_do_the_same_in_the_same_lines() -> None:
    for name, text in SOURCES.items():
        path = Path(host_archive.__file__).parents[2] / name.replace(".", "/")
        original = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        assert code_of(text) == code_of(original), name
        assert without_docstrings(text) == text
        assert original.count("\n") == text.count("\n")


def test_archive_greets_and_serves(archive: Path, tmp_path: Path) -> None:
    done = run(archive, "--root", str(tmp_path / "state"), sent=STATUS)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(SYNC)
    assert b'"type":"statusreport"' in done.stdout


def test_archive_is_the_same_for_the_same_sources() -> None:
    made = [zipfile.ZipFile(io.BytesIO(host_archive.pack(SOURCES))) for _ in range(2)]
    first, second = [[(e.filename, e.CRC, e.date_time, e.external_attr) for e in file.infolist()] for file in made]
    assert [entry for entry in first if not entry[0].endswith("c")] == [e for e in second if not e[0].endswith("c")]
    assert sum(name.endswith(".pyc") for name, *_ in first) == len(SOURCES)


def rewritten(archive: Path, ending: str, head: bytes) -> Path:
    """The archive with other first bytes in each file of the server side with this ending."""
    other = archive.with_name("other")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(
                name, head + content[4:] if name.startswith("teal_host/") and name.endswith(ending) else content
            )
    return other


def test_archive_runs_its_compiled_code_and_ignores_its_sources(archive: Path, tmp_path: Path) -> None:
    done = run(rewritten(archive, ".py", b"1/0\n"), "--root", str(tmp_path / "state"), sent=STATUS)
    assert (done.returncode, b"statusreport" in done.stdout) == (0, True), done.stderr


def test_archive_runs_its_sources_when_compiled_by_another_python(archive: Path, tmp_path: Path) -> None:
    """This happens after an upgrade of the server's Python."""
    done = run(rewritten(archive, ".pyc", b"\1\2\r\n"), "--root", str(tmp_path / "state"), sent=STATUS)
    assert (done.returncode, b"statusreport" in done.stdout) == (0, True), done.stderr


def test_server_side_knows_its_own_sources_when_run_from_the_archive(archive: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(archive)!r}); from teal_host.ground import archive; "
    code += "from teal_host.wire.sources import digest; print(digest(archive.sources()))"
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == bootstrap.digest()


def test_server_side_knows_its_own_sources_when_run_through_the_pipe() -> None:
    asked = "import sys; sys.modules['teal_host.start'] = type(sys)('x'); "
    asked += (
        "exec('def serve():\\n from teal_host.ground import archive\\n from teal_host.wire.sources import digest\\n "
    )
    asked += "sys.stderr.write(digest(archive.sources()))', vars(sys.modules['teal_host.start'])); "
    asked += "sys.modules['teal_host.start'].sys = sys; "
    stage0 = asked + bootstrap.stage0(server=False)
    argv = [sys.executable, "-I", "-S", "-c", stage0]
    done = subprocess.run(argv, input=bootstrap.payload(server=False), capture_output=True, check=False)
    assert done.stderr.decode() == bootstrap.digest()


@pytest.mark.parametrize("content", [b"", b"short", b"#!/bin/sh\n" + b"x" * 100, None])
def test_digest_is_none_when_the_archive_is_missing_or_malformed(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "teal-host"
    if content is not None:
        path.write_bytes(content)
    assert host_archive.digest(path) is None


def test_archive_runs_launch_without_importing_main(tmp_path: Path) -> None:
    launch = "import sys\ndef main(argv):\n    print(argv, 'teal_host.main' in sys.modules)\n    return 3\n"
    path = tmp_path / "teal-host"
    path.write_bytes(host_archive.pack({**SOURCES, "teal_host.supervisors.launch": launch}))
    done = run(path, "launch", "shop", "blue")
    assert (done.returncode, done.stdout) == (3, b"['shop', 'blue'] False\n")


def test_archive_is_installed_where_stage_0_looks() -> None:
    assert str(HostPaths(Path("/")).installed) == "/usr/local/lib/teal/teal-host"
