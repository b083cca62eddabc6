"""Faults that were first found by hand, trying Teal as a new user."""

import json
import os
import signal
import sys

from harness.background import stranger
from harness.world import App, World, wait_until


def test_rollback_never_leads_to_a_superseded_release(app: App) -> None:
    app.deploy().ok()
    app.program(version="v2")
    second = app.deploy().ok().result
    app.program(version="v3, bad")
    app.deploy().ok()
    app.teal("rollback", "--json").ok()
    app.program(version="v4, mended")
    fixed = app.deploy().ok().result
    assert fixed["previous"] == second["release"]
    back = app.teal("rollback", "--json").ok().result
    assert back["release"] == second["release"]
    assert app.get()["version"] == "v2"


def test_rollback_goes_forward_to_a_superseded_release_by_its_number(app: App) -> None:
    app.deploy().ok()
    app.program(version="v2")
    second = app.deploy().ok().result
    app.teal("rollback").ok()
    assert app.status()["colors"]["green"]["state"] == "running"
    forward = app.teal("rollback", "2", "--json").ok().result
    assert forward["release"] == second["release"]
    assert app.get()["version"] == "v2"


def test_ports_of_a_refused_deploy_are_not_remembered(app: App) -> None:
    app.deploy().ok()
    before = app.status()
    blue, green = app.world.app("elsewhere").ports[1:]
    with stranger(green):
        app.config(run={"ports": {"blue": blue, "green": green}})
        assert app.deploy().code == 6
    after = app.status()
    assert after["colors"]["green"]["port"] == before["colors"]["green"]["port"]
    assert after["notes"] == []
    app.config(run={"ports": None})
    app.program(version="v2")
    assert app.deploy().ok().result["color"] == "green"


def test_taken_domain_is_refused_before_the_upload_and_leaves_no_release(app: App, world: World) -> None:
    app.config(server={"domains": ["one.localhost"]})
    app.deploy().ok()
    other = world.app("other")
    other.config(server={"domains": ["one.localhost"], "http_port": app.ports[0]})
    refused = other.deploy()
    assert refused.code == 3
    assert "is served for the app shop already" in refused.err
    assert other.teal("releases", "--json").ok().result["releases"] == []


def test_rollback_is_refused_and_stops_no_color_when_the_port_of_nginx_is_taken(app: App, world: World) -> None:
    app.deploy().ok()
    app.program(version="v2")
    app.deploy().ok()
    master = int((world.root / "etc/nginx/nginx.pid").read_text())
    os.kill(master, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{master}"))
    with stranger(app.ports[0]):
        refused = app.teal("rollback", "--json")
    assert refused.code == 3, refused
    assert "is taken by" in refused.err
    assert {color["state"] for color in app.status()["colors"].values()} == {"running"}


def test_command_of_the_release_without_dot_slash_is_refused_with_the_right_spelling(app: App) -> None:
    app.config(run={"command": ["program"]})
    refused = app.deploy()
    assert refused.code == 3
    assert 'write "./program"' in refused.err


def test_health_check_asks_whether_the_path_is_right_when_the_program_answers_404(app: App) -> None:
    app.program(version="v1", health=404)
    app.config(health={"path": "/healthz", "deadline_s": 1})
    refused = app.deploy()
    assert refused.code == 6
    assert "is [health] path the right one" in refused.err


def test_build_output_is_printed_once_when_the_build_fails(app: App) -> None:
    script = "import sys; print('main.go:3: undefined: x'); sys.exit(2)"
    app.config(build={"command": [sys.executable, "-c", script]})
    failed = app.teal("deploy")
    assert (failed.code, failed.err.count("undefined: x")) == (5, 1)
    quiet = app.teal("deploy", "-q")
    assert (quiet.code, quiet.err.count("undefined: x")) == (5, 1)
    assert app.deploy().result["error"]["evidence"] == ["main.go:3: undefined: x"]


def test_logs_show_the_last_lines_of_both_colors(app: App) -> None:
    app.program(version="v1", says=["one", "two"])
    app.deploy().ok()
    app.program(version="v2", says=["three", "four"])
    app.deploy().ok()

    def last(count: int) -> list[str]:
        lines = app.teal("logs", "-n", str(count), "--json").ok().result["lines"]
        return [line["text"] for line in lines if not line["text"].startswith("version")]

    assert last(2) == ["three", "four"]
    assert last(5) == ["one", "two", "three", "four"]
    assert last(0) == []
    log = next((app.state / "logs").glob("blue-*.log"))
    with log.open("a") as file:
        file.write("the standby works on\n")
    assert last(1) == ["the standby works on"]


def test_releases_mark_a_release_that_a_person_rolled_back_from(app: App) -> None:
    app.deploy().ok()
    app.program(version="v2")
    app.deploy().ok()
    app.teal("rollback").ok()
    newest = app.teal("releases").ok().out.splitlines()[1]
    assert "superseded" in newest
    row = app.teal("releases", "--json").ok().result["releases"][0]
    assert row["outcome"] == "superseded"
    forward = app.teal("rollback", "2")
    assert "is superseded; it is checked again" in forward.ok().err


def test_status_notes_a_changed_secret_that_waits_for_a_deploy(app: App) -> None:
    app.deploy().ok()
    assert app.status()["notes"] == []
    app.teal("env", "set", "TOKEN", stdin="S3CR3T").ok()
    told = app.teal("status").ok().out
    assert "teal env has changed since" in told
    assert "S3CR3T" not in told
    app.deploy().ok()
    assert app.status()["notes"] == []


def test_unhealthy_message_counts_the_probes_only_when_the_program_keeps_running(app: App) -> None:
    app.program(version="v1", exits=3)
    refused = app.teal("deploy")
    assert (refused.code, "times" in refused.err) == (6, False)
    app.program(version="v1", health=503)
    app.config(health={"deadline_s": 1})
    refused = app.teal("deploy")
    assert (refused.code, "times and was never well" in refused.err) == (6, True)


def test_init_names_what_git_should_ignore_and_that_setup_comes_first_on_a_server(world: World) -> None:
    (world.home / "go.mod").write_text("module example.com/shop\n\ngo 1.22\n")
    (world.home / "main.go").write_text("package main\n\nfunc main() {}\n")
    said = world.teal("init").ok().err
    assert "put dist/ into .gitignore" in said
    assert "(on a server: teal setup first)" in said
    (world.home / ".gitignore").write_text("/dist/\n")
    assert ".gitignore" not in world.teal("init", "-y").ok().err


def test_status_does_not_report_a_stopped_standby_after_a_boot_of_the_machine(app: App) -> None:
    """All programs ended with the machine, and the status reports only the live one as missing."""
    for version in ("v1", "v2"):
        app.program(version=version)
        app.deploy().ok()
    for color, told in app.status()["colors"].items():
        os.kill(told["pid"], signal.SIGKILL)
        (written,) = app.state.glob(f"{color}/process*")
        written.write_text(json.dumps({**json.loads(written.read_text()), "boot": "an earlier one"}))
    told = app.status()
    assert {color["state"] for color in told["colors"].values()} == {"stopped"}
    assert [note.partition(":")[0] for note in told["notes"]] == ["green is live but does not run"]
    assert app.teal("rollback", "--json").ok().result["outcome"] == "live"
    assert app.get()["version"] == "v1"
