"""Which files root alone can have made or changed."""

import os
import stat
from pathlib import Path

import pytest

from teal_host.ground.ownership import only_root_writes


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """The files below `tmp_path` that users other than root own or can write.

    All other files count as root's own, /tmp included.
    """
    paths: set[Path] = set()

    def lstat(path: Path) -> os.stat_result:
        real = os.stat(path, follow_symlinks=False)
        mode = stat.S_IFMT(real.st_mode) | 0o755
        return os.stat_result((mode, *real[1:4], 1000 if path in paths else 0, *real[5:]))

    monkeypatch.setattr(os, "lstat", lstat)
    return paths


@pytest.mark.row("S14")
def test_file_is_roots_when_everything_on_the_way_is(tmp_path: Path, foreign: set[Path]) -> None:
    file = tmp_path / "a/nginx.conf"
    file.parent.mkdir()
    file.touch()
    assert only_root_writes(str(file))
    assert only_root_writes(f"{tmp_path}/a/../a/nginx.conf")
    for step in (file, file.parent, tmp_path, Path("/")):
        foreign.add(step)
        assert not only_root_writes(str(file)), step
        foreign.discard(step)


@pytest.mark.row("S14")
def test_missing_file_is_roots_when_only_root_could_make_it(tmp_path: Path, foreign: set[Path]) -> None:
    assert only_root_writes(f"{tmp_path}/missing/nginx.conf")
    foreign.add(tmp_path)
    assert not only_root_writes(f"{tmp_path}/missing/nginx.conf")


@pytest.mark.parametrize("path", ["", "nginx.conf", "./nginx.conf", "../etc/passwd", "/\0"])
def test_path_that_is_not_absolute_is_nobodys(path: str) -> None:
    assert not only_root_writes(path)


def test_link_leads_to_a_file_that_is_judged_too(tmp_path: Path, foreign: set[Path]) -> None:
    for folder in ("etc", "home"):
        (tmp_path / folder).mkdir()
    (tmp_path / "home/evil.conf").touch()
    (tmp_path / "etc/absolute").symlink_to(tmp_path / "home/evil.conf")
    (tmp_path / "etc/relative").symlink_to("../home/evil.conf")
    links = [f"{tmp_path}/etc/absolute", f"{tmp_path}/etc/relative"]
    assert all(map(only_root_writes, links))
    foreign.add(tmp_path / "home")
    assert not any(map(only_root_writes, links))


@pytest.mark.row("S14")
def test_link_of_somebody_else_is_not_roots(tmp_path: Path, foreign: set[Path]) -> None:
    (tmp_path / "nginx.conf").touch()
    (tmp_path / "link").symlink_to("nginx.conf")
    foreign.add(tmp_path / "link")
    assert not only_root_writes(f"{tmp_path}/link")
    assert not only_root_writes(f"{tmp_path}/link/../nginx.conf")


@pytest.mark.row("S14")
def test_links_in_a_circle_end(tmp_path: Path, foreign: set[Path]) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert not only_root_writes(f"{tmp_path}/circle")


@pytest.mark.parametrize(
    ("user", "mode", "roots"),
    [
        (0, 0o755, True),
        (0, 0o644, True),
        (0, 0o775, False),
        (0, 0o1777, False),
        (33, 0o755, False),
        (1000, 0o600, False),
    ],
)
@pytest.mark.row("S14")
def test_owner_and_mode_decide(monkeypatch: pytest.MonkeyPatch, user: int, mode: int, roots: bool) -> None:
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, user, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "lstat", lambda _: status)
    assert only_root_writes("/") == roots
