"""The app's own user, as setup changes it."""

import pwd
from pathlib import Path

import pytest

from teal_host.ground.errors import CannotRun
from teal_host.ground.run import Ran
from teal_host.preparations import account


def test_home_of_a_user_with_processes_is_changed_by_a_usermod_whose_lock_a_power_cut_makes_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its lock holds its process number. In a PID namespace that was 1, as at 768eec4: a number that always lives."""
    ran: list[list[str]] = []

    def run(argv: list[str], deadline_s: float) -> Ran:
        ran.append(argv)
        return Ran(8 if argv[1] == "--home" else 0, "usermod: user teal-shop is currently used by process 7")

    monkeypatch.setattr(account, "run", run)
    monkeypatch.setattr(account, "_end_services", lambda entry: None)
    entry = pwd.struct_passwd(("teal-shop", "x", 998, 998, "", "/var/lib/shop", "/usr/sbin/nologin"))
    monkeypatch.setattr(account, "find", lambda user: entry)
    account._shut_out("teal-shop")
    assert [argv[0] for argv in ran] == ["usermod"] * 3
    assert ran[2] == ["usermod", "--prefix", "/.", "--home", "/nonexistent", "teal-shop"]


@pytest.mark.parametrize(("holder", "has_hint"), [("1\0", True), ("771\0", False)])
def test_lock_of_accounts_that_an_older_setup_left_is_named_with_what_removes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holder: str, has_hint: bool
) -> None:
    lock = tmp_path / "passwd.lock"
    lock.write_text(holder)
    monkeypatch.setattr(account, "_LOCKS", (lock, tmp_path / "shadow.lock"))
    monkeypatch.setattr(account, "run", lambda argv, deadline_s: Ran(1, "usermod: cannot lock /etc/passwd"))
    monkeypatch.setattr(account, "find", lambda user: None)
    with pytest.raises(CannotRun) as raised:
        account._shut_out("teal-shop")
    assert (f"rm {lock}, then" in raised.value.hint) == has_hint
