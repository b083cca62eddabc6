"""`teal setup` with apt and with sudo: what the machine or its user cannot do is named."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import Server
from harness.world import at_server, wait_until
from hints.walk import hint_of
from server.setup.results import OTHERS, differing, make_public_key, refusal, setup_changes


class TestApt:
    """Tests on their own bare server, because packages stay."""

    @pytest.mark.hint("install {}", "on the server: apt-get update && apt-get install {}; then teal setup again")
    def test_setup_names_a_missing_network_and_waits_for_the_lock_of_another_apt(
        self, tmp_path: Path, debian: int
    ) -> None:
        with harness.server(debian, tmp_path / "bare") as bare:
            app = at_server(tmp_path / "home", bare).app("shop")
            bare.run("sh", "-c", "rm -rf /var/lib/apt/lists/*")
            bare.run("mv", "/usr/bin/apt-get", "/usr/bin/apt-got")
            install = hint_of(refusal(app), "install {}")
            bare.run("mv", "/usr/bin/apt-got", "/usr/bin/apt-get")
            wrong = bare.root / "etc/apt/apt.conf.d/99wrong"
            wrong.write_text('Acquire::http::Proxy "http://127.0.0.1:9"; Acquire::Retries "0";\n')
            before = bare.files(ignoring=OTHERS)
            would = setup_changes(app, "--dry-run")
            assert would[0] == f"{install} (apt-get install)"
            error = refusal(app, code=1)
            assert (error["message"], bool(error["evidence"])) == ("apt-get cannot install nginx", True)
            text = "on the server: apt-get update && apt-get install {}; then teal setup again"
            typed, _, again = hint_of(error, text).removeprefix("on the server: ").partition("; then ")
            changed = differing(before, bare.files(ignoring=OTHERS))
            assert changed == ["/var/lib/teal", "/var/lib/teal/shop", "/var/lib/teal/shop/lock"]
            wrong.unlink()
            assert bare.run("sh", "-c", f"yes | {{ {typed}; }}").returncode == 0
            assert again == "teal setup again"
            app.teal("setup").ok()
            bare.run("systemd-run", "--unit=apt-of-another", "python3", "-c", HOLD_THE_LOCK)
            wait_until(lambda: (bare.root / "var/lib/dpkg/held").exists())
            make_public_key(app.directory)
            assert setup_changes(app, "--deploy-key", "deploy_key.pub")[0] == "install sudo (apt-get install)"
            assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
            app.deploy().ok()


HOLD_THE_LOCK = """
import fcntl, time
with open("/var/lib/dpkg/lock-frontend", "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    open("/var/lib/dpkg/held", "w")
    time.sleep(4)
"""


@pytest.fixture
def ada(shared: Server) -> Iterator[None]:
    shared.run("useradd", "-m", "-s", "/bin/bash", "ada")
    shutil.copytree(shared.root / "root/.ssh", shared.root / "home/ada/.ssh")
    shared.run("chown", "-R", "ada:", "/home/ada/.ssh")
    yield
    shared.run("pkill", "-u", "ada")
    wait_until(lambda: shared.run("userdel", "-r", "ada").returncode != 8)


class TestSudo:
    def test_user_with_sudo_sets_up_deploys_and_destroys(
        self, shared: Server, ada: None, tmp_path: Path, put: Any
    ) -> None:
        put("/etc/sudoers.d/ada", "ada ALL=(ALL) NOPASSWD: ALL\n")
        before = shared.files(ignoring=OTHERS)
        app = at_server(tmp_path / "home", shared, user="ada").app("shop")
        app.teal("setup").ok()
        app.deploy().ok()
        assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
        app.teal("destroy", "-y").ok()
        assert differing(before, shared.files(ignoring=OTHERS)) == []

    def test_user_without_sudo_is_refused_and_changes_nothing(self, shared: Server, ada: None, tmp_path: Path) -> None:
        before = shared.files(ignoring=OTHERS)
        app = at_server(tmp_path / "home", shared, user="ada").app("shop")
        ended = app.teal("setup")
        assert (ended.code, "sudo" in ended.err) == (4, True)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
