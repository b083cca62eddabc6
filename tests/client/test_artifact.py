"""The artifact of a build: Teal sends every file once, and no entry that could mean something else on the server."""

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from teal.building.artifact import Artifact, find, read
from teal.config.model import Build, Config
from teal.config.read import ConfigFile
from teal.ground.errors import ConfigError
from teal_host.wire.app import Run
from teal_host.wire.manifest import Entry


def put(path: Path, data: bytes = b"x", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def entry(path: str, data: bytes = b"x", executable: bool = False) -> Entry:
    return Entry(path, "file", len(data), hashlib.sha256(data).hexdigest(), executable)


def config(folder: Path, artifact: str | None = "dist", command: str = "./app") -> ConfigFile:
    return ConfigFile(Config("shop", Run((command,)), Build(artifact=artifact)), folder / "teal.toml")


def refused(attempt: Callable[[], object]) -> ConfigError:
    with pytest.raises(ConfigError) as artifact_read:
        attempt()
    return artifact_read.value


def test_file_lands_under_its_own_name(tmp_path: Path) -> None:
    artifact_read = read(put(tmp_path / "dist/app", b"program", 0o755))
    assert artifact_read.manifest.entries == (entry("app", b"program", True),)
    assert (artifact_read.root, list(artifact_read.pieces())) == (tmp_path / "dist", [b"program"])


def test_directory_is_shipped_whole_in_the_order_of_its_paths(tmp_path: Path) -> None:
    top = tmp_path / "dist"
    put(top / "b", b"22")
    put(top / "a/z", b"")
    put(top / "a/b/c", b"333", 0o700)
    put(top / "a-b", b"4")
    (top / "empty").mkdir()
    artifact_read = read(top)
    assert artifact_read.manifest.entries == (
        Entry("a", "dir"),
        Entry("a/b", "dir"),
        entry("a/b/c", b"333", True),
        entry("a/z", b""),
        entry("a-b", b"4"),
        entry("b", b"22"),
        Entry("empty", "dir"),
    )
    assert b"".join(artifact_read.pieces()) == b"333422"
    assert artifact_read.manifest.bytes == 6


@pytest.mark.parametrize("mode", [0o100, 0o010, 0o001, 0o755, 0o4755, 0o1777])
def test_file_mode_carries_only_the_executable_bit(tmp_path: Path, mode: int) -> None:
    assert read(put(tmp_path / "app", mode=mode | 0o400)).manifest.entries == (entry("app", executable=True),)


def test_artifact_digest_depends_on_contents_names_and_executable_bits_only(tmp_path: Path) -> None:
    def digest(name: str, **files: tuple[bytes, int]) -> str:
        for path, (data, mode) in files.items():
            put(tmp_path / name / path, data, mode)
        return read(tmp_path / name).manifest.digest

    first = digest("1", app=(b"a", 0o755), data=(b"b", 0o644))
    assert digest("2", data=(b"b", 0o600), app=(b"a", 0o700)) == first
    os.utime(tmp_path / "2/app", (0, 0))
    assert read(tmp_path / "2").manifest.digest == first
    others = {
        digest("3", app=(b"A", 0o755), data=(b"b", 0o644)),
        digest("4", app=(b"a", 0o644), data=(b"b", 0o644)),
        digest("5", app=(b"a", 0o755), date=(b"b", 0o644)),
        digest("6", app=(b"a", 0o755)),
        digest("7", app=(b"a", 0o755), data=(b"b", 0o644), more=(b"", 0o644)),
    }
    assert len(others) == 5
    assert first not in others


def test_large_file_is_read_in_pieces_of_at_most_256_kib(tmp_path: Path) -> None:
    data = os.urandom(700_000)
    artifact_read = read(put(tmp_path / "app", data))
    pieces = list(artifact_read.pieces())
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 256 * 1024
    assert artifact_read.manifest.entries == (entry("app", data),)


@pytest.mark.parametrize(
    "name", ["with space", "ünï", "-rf", "a'b\"c", "$HOME", ".env", "...", "x" * 255, "%s", "a\\b"]
)
def test_odd_names_are_shipped_as_they_are(tmp_path: Path, name: str) -> None:
    put(tmp_path / "dist" / name)
    assert read(tmp_path / "dist").manifest.entries == (entry(name),)


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[31m", b"\xff\xfe", "a\u202eb".encode(), b"\x7f"])
def test_file_name_is_refused_when_a_release_cannot_hold_it(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "dist").mkdir()
    path = os.path.join(os.fsencode(tmp_path / "dist"), name)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    assert "is not a path that a release can hold" in refused(lambda: read(tmp_path / "dist")).message


def test_directory_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    put(tmp_path.joinpath("dist", *["d"] * 64, "file"))
    assert "is not a path that a release can hold" in refused(lambda: read(tmp_path / "dist")).message


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _link_to_directory(path: Path) -> None:
    path.symlink_to("/etc")


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_link, "has a link: sub/odd"),
        (_link_to_directory, "has a link: sub/odd"),
        (_link_to_nothing, "has a link: sub/odd"),
        (_fifo, "has something that is not a regular file: sub/odd"),
        (_socket, "has something that is not a regular file: sub/odd"),
    ],
)
def test_artifact_with_a_link_fifo_or_socket_is_refused_without_opening_it(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    put(tmp_path / "dist/app")
    (tmp_path / "dist/sub").mkdir()
    make(tmp_path / "dist/sub/odd")
    error = refused(lambda: read(tmp_path / "dist"))
    assert complaint in error.message
    assert error.hint


@pytest.mark.parametrize("make", [_fifo, _socket])
def test_artifact_is_refused_when_it_is_a_fifo_or_socket(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    assert "is not a regular file" in refused(lambda: read(tmp_path / "odd")).message


@pytest.mark.parametrize("inside", [[], ["sub"], ["a/b/c", "d"]])
def test_artifact_is_refused_when_its_directory_has_no_file(tmp_path: Path, inside: list[str]) -> None:
    for name in ("", *inside):
        (tmp_path / "dist" / name).mkdir(parents=True)
    assert "has no file in it" in refused(lambda: read(tmp_path / "dist")).message


def test_artifact_is_refused_when_its_path_is_gone(tmp_path: Path) -> None:
    assert "cannot read the artifact" in refused(lambda: read(tmp_path / "gone")).message


def test_configured_artifact_is_relative_to_the_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "dist/app", mode=0o755)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find(config(tmp_path), None).root == tmp_path / "dist"
    assert find(config(tmp_path, "dist/app"), None).manifest.entries == (entry("app", executable=True),)


def test_artifact_option_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "here/app", b"given", 0o755)
    put(tmp_path / "dist/app", b"configured", 0o755)
    monkeypatch.chdir(tmp_path / "here")
    given: Artifact = find(config(tmp_path), Path("app"))
    assert list(given.pieces()) == [b"given"]


@pytest.mark.parametrize(
    ("artifact", "given", "complaint"),
    [
        (None, None, 'teal.toml: build.artifact: is missing → say what to ship: [build] artifact = "dist/app", or'),
        ("dist", None, "there is no artifact at {tmp}/dist → build it first, or let teal deploy build it"),
        ("dist", "nope", "there is no artifact at {tmp}/nope → check the path"),
    ],
)
def test_missing_artifact_is_reported_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifact: str | None, given: str | None, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(lambda: find(config(tmp_path, artifact), Path(given) if given else None))
    assert f"{error.message} → {error.hint}".startswith(complaint.format(tmp=tmp_path))


@pytest.mark.parametrize(
    ("command", "mode", "complaint"),
    [
        ("./app", 0o755, None),
        ("./sub/tool", 0o755, None),
        ("./sub/../app", 0o755, 'starts "./sub/../app", which is not in the artifact'),
        ("./other", 0o755, 'starts "./other", which is not in the artifact'),
        ("./sub", 0o755, 'starts "./sub", which is not'),
        ("./app", 0o644, 'starts "./app", which is not executable'),
        ("python3", 0o644, None),
        ("/usr/bin/env", 0o644, None),
    ],
)
def test_command_is_refused_unless_its_program_is_in_the_artifact_and_executable(
    tmp_path: Path, command: str, mode: int, complaint: str | None
) -> None:
    put(tmp_path / "dist/app", mode=mode)
    put(tmp_path / "dist/sub/tool", mode=mode)
    if complaint is None:
        assert find(config(tmp_path, command=command), None)
    else:
        assert complaint in refused(lambda: find(config(tmp_path, command=command), None)).message


UNBUILT = (
    "build it first, or let teal deploy build it: [build] command in teal.toml; a script needs no build: put it "
    "into a directory, and name both: [build] artifact, [run] command"
)


@pytest.mark.parametrize(
    ("command", "path", "hint"),
    [
        (("make",), None, "does [build] command make it?"),
        ((), None, UNBUILT),
        (("make",), Path("elsewhere/app"), "check the path"),
    ],
)
def test_missing_artifact_hint_names_the_build_command_only_where_it_exists(
    tmp_path: Path, command: tuple[str, ...], path: Path | None, hint: str
) -> None:
    file = ConfigFile(Config("shop", Run(("./app",)), Build(command, artifact="dist/app")), tmp_path / "teal.toml")
    assert refused(lambda: find(file, path)).hint == hint
