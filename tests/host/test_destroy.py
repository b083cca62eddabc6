"""What a destroy says of the data before it asks, and what a repeated destroy still finds."""

import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from teal_host.ground import processes, systemctl
from teal_host.ground.errors import CannotRun, NotThere
from teal_host.ground.paths import HostPaths
from teal_host.preparations import account, deploy_key, undo
from teal_host.state import footprint, key_places
from teal_host.state.app import App
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.footprint import Footprint
from teal_host.stories import destroy
from teal_host.wire.manifest import Origin
from teal_host.wire.requests import Destroy

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
DEPTH = 1100  # more than Python calls itself


@pytest.mark.row("S8")
def test_data_is_counted_when_its_directories_are_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_text("seven b")
    folder = tmp_path
    for _ in range(DEPTH):
        folder = folder / "d"
        folder.mkdir()
    try:
        assert sum(destroy._sizes(tmp_path)) == 7
    finally:
        while folder != tmp_path:
            folder.rmdir()
            folder = folder.parent


def test_data_is_counted_when_a_file_goes_meanwhile(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("1")
    sizes = destroy._sizes(tmp_path)
    next(sizes)
    for name in os.listdir(tmp_path):
        (tmp_path / name).unlink()
    assert sum(sizes) <= 2


def test_dry_run_of_a_destroy_changes_nothing_when_the_app_is_not_here(tmp_path: Path) -> None:
    """At dbd505a it removed what the last app leaves to the next destroy: the lock, and the server side."""
    host = HostPaths(tmp_path)
    host.lock.parent.mkdir(parents=True)
    host.lock.touch()
    app = cast(App, SimpleNamespace(name="shop", paths=host.app("shop"), host=SimpleNamespace(paths=host)))
    with pytest.raises(NotThere, match="there is no app shop here"):
        destroy.destroy(app, Destroy("shop", Origin(), dry_run=True))
    assert host.lock.exists()


def test_destroy_takes_the_keys_out_when_an_earlier_destroy_was_cut_where_it_ends_their_server_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 768eec4 the footprint no longer named the keys after the cut, and their lines stayed in authorized_keys."""
    host = HostPaths(tmp_path)
    rule, authorized = deploy_key.sudo_rule(host, "shop"), deploy_key.authorized(host)
    for path, text in ((rule, "rule"), (authorized, deploy_key.authorized_text(host, {"shop": (DeployKey(KEY),)}))):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    footprint.save(host.app("shop"), Footprint({str(rule): (), str(authorized): ()}, keys=(KEY,)))
    monkeypatch.setattr(systemctl, "reload_units", lambda: None)
    monkeypatch.setattr(account, "remove_user", lambda user: None)

    def cut(host: HostPaths, key: str) -> None:
        raise CannotRun("cut")

    with monkeypatch.context() as first:
        first.setattr(key_places, "end_all", cut)
        with pytest.raises(CannotRun, match="cut"):
            undo.undo(host, host.app("shop"))
    assert authorized.exists()
    undo.undo(host, host.app("shop"))
    assert not authorized.exists()
    assert not rule.exists()


NOBODYS = 64_007


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as another user")
@pytest.mark.row("S8", "S19")
def test_processes_end_that_are_in_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 0a9ff5d a process that forked and ended all the time was not seen, and so not ended."""
    monkeypatch.setattr(processes, "of_user", lambda user: set())
    with subprocess.Popen(["sleep", "60"], user=NOBODYS) as unseen:
        account._end_all(NOBODYS)
        assert unseen.wait(30) == -signal.SIGKILL
