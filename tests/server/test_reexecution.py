"""systemd re-executes itself again and again, as unattended upgrades make it, while deploys run."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.ssh_access import one_login
from harness.world import App, at_server, wait_until

DEPLOYS = int(os.environ.get("TEAL_DEPLOYS", "4"))
AGAIN_AND_AGAIN = "while :; do systemctl daemon-reexec; echo >> /run/reexecuted; sleep 0.5; done"


@contextmanager
def reexecuting(server: Server) -> Iterator[None]:
    """Each re-execution writes a line of /run/reexecuted."""
    server.run("systemd-run", "--unit=reexecuting", "sh", "-c", AGAIN_AND_AGAIN)
    try:
        yield
    finally:
        wait_until(lambda: server.run("systemctl", "stop", "reexecuting").returncode == 0)


@pytest.mark.row("C21")
@pytest.mark.timeout(300 + 60 * DEPLOYS)
def test_deploys_go_live_while_systemd_reexecutes_itself(
    debian: int, tmp_path: Path, counted: Callable[..., None]
) -> None:
    with harness.server(debian, tmp_path, packages=["nginx", "sudo"]) as server, one_login(server) as login:
        _deploys_go_live(server, at_server(tmp_path / "home", server, login).app("shop"))
        reexecuted = len(server.run("cat", "/run/reexecuted").stdout.splitlines())
    counted(deploys=DEPLOYS, refused=0, reexecuted=reexecuted)
    assert reexecuted > 10


def _deploys_go_live(server: Server, app: App) -> None:
    app.config(keep={"watch_s": 1, "drain_s": 0})
    app.teal("setup").ok()
    with reexecuting(server):
        for number in range(DEPLOYS):
            app.program(version=f"v{number}")
            assert app.deploy().ok().result["outcome"] == "live"
            assert app.get()["version"] == f"v{number}"
        assert app.teal("rollback", "--json").ok().result["outcome"] == "live"
        assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
