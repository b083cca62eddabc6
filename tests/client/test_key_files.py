"""What the client says of a key file that it cannot read."""

import os
from pathlib import Path

import pytest

from teal.ground.errors import ConfigError
from teal.stories.setup import _fingerprint, read_key

TEXT = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "a" * 400


@pytest.mark.parametrize("text", [TEXT, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n", "x" * 300 + ".pub"])
def test_text_of_a_key_in_the_place_of_its_file_is_one_clear_error_that_does_not_show_it(text: str) -> None:
    with pytest.raises(ConfigError, match="a key is named by its file, and this is no name of a file") as raised:
        read_key(Path(text))
    assert raised.value.hint == "check the path"


@pytest.mark.parametrize("name", ["no/such/directory/key.pub", "no-such-key"])
def test_key_that_is_no_readable_file_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="there is no readable public key at") as raised:
        read_key(tmp_path / name)
    assert raised.value.hint == "check the path"


def test_key_in_a_directory_of_somebody_else_is_one_clear_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may enter every directory")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(ConfigError, match="there is no readable public key at") as raised:
        read_key(closed / "key.pub")
    closed.chmod(0o700)
    assert raised.value.hint == "check the path"


def test_certificate_in_the_place_of_a_key_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "ci-cert.pub").write_text(f"ssh-ed25519-cert-v01@openssh.com {'A' * 600} ci")
    with pytest.raises(ConfigError, match="is a certificate, and not an OpenSSH public key") as raised:
        read_key(tmp_path / "ci-cert.pub")
    assert raised.value.hint == "teal setup --deploy-ca CA.pub --principal NAME"


@pytest.mark.hint("no certificate is revoked alone, only all of its CA: teal setup --remove-key CA.pub")
def test_certificate_to_be_revoked_is_answered_with_how_its_ca_is_revoked(tmp_path: Path) -> None:
    (tmp_path / "run-cert.pub").write_text(f"ssh-ed25519-cert-v01@openssh.com {'A' * 600} ci")
    with pytest.raises(ConfigError, match="is a certificate") as raised:
        _fingerprint(str(tmp_path / "run-cert.pub"))
    assert raised.value.hint.endswith("only all of its CA: teal setup --remove-key CA.pub")
