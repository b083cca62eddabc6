"""A certificate is checked before nginx sees it, and put in place so that nginx is never without one."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.certificates import Authority
from teal_host.ground import files
from teal_host.ground.errors import BadRequest
from teal_host.proxies import certificate
from teal_host.state.route import Tls


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def put(folder: Path, texts: tuple[str, str]) -> tuple[Path, Path]:
    chain, key = folder / "cert.pem", folder / "key.pem"
    chain.write_text(texts[0])
    key.write_text(texts[1])
    return chain, key


def tls_in(folder: Path) -> Tls:
    tls = Tls(folder / "tls", folder / "challenges")
    tls.covered.mkdir(parents=True)
    return tls


def test_certificate_says_its_names_and_covers_one_label_by_a_wildcard(authority: Authority, tmp_path: Path) -> None:
    pair = certificate.read(*put(tmp_path, authority.sign("a.test", "*.b.test")))
    assert pair.names == ("a.test", "*.b.test")
    names = ("a.test", "x.b.test", "*.b.test", "b.test", "x.y.b.test", "*.a.test")
    assert [name for name in names if pair.covers(name)] == ["a.test", "x.b.test", "*.b.test"]


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_certificate_is_refused_where_its_files_are_none(authority: Authority, tmp_path: Path, name: str) -> None:
    paths = put(tmp_path, authority.sign("a.test"))
    odd, aside = tmp_path / name, tmp_path / "aside"
    odd.rename(aside)

    def refused(complaint: str) -> None:
        with pytest.raises(BadRequest, match=complaint):
            certificate.read(*paths)
        if odd.is_dir():
            odd.rmdir()
        else:
            odd.unlink(missing_ok=True)

    refused(f"{name} cannot be read: No such file")
    os.mkfifo(odd)
    refused(f"{name} cannot be read: it is not a file")
    odd.mkdir()
    refused(f"{name} cannot be read: Is a directory")
    odd.symlink_to("/dev/zero")
    refused(f"{name} cannot be read: Too many levels of symbolic links")
    odd.symlink_to(aside)  # not root alone can make a link here
    refused(f"{name} cannot be read: Too many levels of symbolic links")
    odd.write_bytes(b"-" * 300_000)
    refused(f"{name} is larger than 262,144 bytes")
    odd.write_bytes(b"\xff\xfe")
    refused(f"{name} is not in PEM")
    odd.write_text("")
    refused("are no certificate with its key")
    odd.write_text(authority.sign("a.test")[0 if name == "cert.pem" else 1])
    refused("are no certificate with its key: key values mismatch")


def test_certificate_of_a_link_in_a_directory_of_others_is_not_read(authority: Authority, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    put(real, authority.sign("a.test"))
    (tmp_path / "linked").symlink_to("real")
    with pytest.raises(BadRequest, match="cannot be read"):
        certificate.read(tmp_path / "linked/cert.pem", tmp_path / "linked/key.pem")


def test_certificate_takes_marks_away_first_and_gives_them_last(authority: Authority, tmp_path: Path) -> None:
    tls, names = tls_in(tmp_path), ("a.test", "b.test", "*.c.test")
    first = certificate.read(*put(tmp_path, authority.sign("a.test", "b.test")))
    assert certificate.install(tls, first, names) == ("a.test", "b.test")
    assert certificate.marked(tls) == ["a.test", "b.test"]
    second = certificate.read(*put(tmp_path, authority.sign("a.test", "*.c.test")))
    assert certificate.install(tls, second, names) == ("a.test", "*.c.test")
    assert certificate.marked(tls) == ["*.c.test", "a.test"]
    assert (tls.chain.read_text(), tls.key.read_text()) == (second.chain, second.key)
    assert {path.stat().st_mode & 0o777 for path in (tls.chain, tls.key)} == {0o640}
    inodes = [path.stat().st_ino for path in (tls.chain, tls.key)]
    certificate.install(tls, second, names)
    assert [path.stat().st_ino for path in (tls.chain, tls.key)] == inodes


class Killed(BaseException):
    """The power went off before this act."""


def killed_at(number: int) -> Callable[[str], None]:
    remaining = iter(range(number))

    def witness(act: str) -> None:
        if next(remaining, None) is None:
            raise Killed(act)

    return witness


def test_certificate_is_whole_wherever_its_renewal_is_killed(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same key, as certbot renews it. The next look finishes what was begun."""
    acts: list[str] = []
    tls, chain, key = tls_in(tmp_path), *put(tmp_path, authority.sign("a.test", "b.test"))
    old = certificate.read(chain, key)
    new = replace(old, chain=f"{old.chain}\n")
    monkeypatch.setattr(files, "witness", acts.append)
    certificate.install(tls, old, old.names)
    acts.clear()
    certificate.install(tls, new, new.names)
    assert len(acts) >= 2
    for number in range(len(acts)):
        certificate.install(tls, old, old.names)
        monkeypatch.setattr(files, "witness", killed_at(number))
        with pytest.raises(Killed):
            certificate.install(tls, new, new.names)
        monkeypatch.setattr(files, "witness", acts.append)
        assert certificate.read(tls.chain, tls.key).serial == old.serial
        certificate.install(tls, new, new.names)
        assert certificate.read(tls.chain, tls.key) == new
