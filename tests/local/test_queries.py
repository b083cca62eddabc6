"""`teal logs`, `teal releases` and `teal status` in cases that a new user met."""

import json
import os
import signal

from harness.world import App, free_ports
from hints.walk import type_in


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
    row = app.releases()[0]
    assert row["outcome"] == "superseded"
    forward = app.teal("rollback", "2")
    assert "was left by a rollback, or ended by --evict; it goes live only if it is healthy now" in forward.ok().err


def test_doctor_names_what_teal_toml_says_and_no_deploy_has_taken_up(app: App) -> None:
    (port,) = free_ports(1)
    app.deploy().ok()
    assert "as deployed" in app.teal("doctor").out
    app.config(server={"http_port": port})
    (row,) = [row for row in app.teal("doctor", "--json").result["findings"] if row["what"] == "teal.toml"]
    assert (row["state"], row["says"]) == ("warning", "not yet deployed: [server] http_port")
    assert row["evidence"] == [f"[server] http_port: agreed {app.ports[0]}, in teal.toml {port}"]
    type_in(app, row["hint"])
    assert "as deployed" in app.teal("doctor").out


def test_status_notes_a_changed_secret_that_waits_for_a_deploy(app: App) -> None:
    app.deploy().ok()
    assert app.status()["notes"] == []
    app.teal("env", "set", "TOKEN", stdin="S3CR3T").ok()
    output = app.teal("status").ok().out
    assert "teal env has changed since" in output
    assert "S3CR3T" not in output
    app.deploy().ok()
    assert app.status()["notes"] == []


def test_status_does_not_report_a_stopped_standby_after_a_boot_of_the_machine(app: App) -> None:
    """All programs ended with the machine, and the status reports only the live one as missing."""
    for version in ("v1", "v2"):
        app.program(version=version)
        app.deploy().ok()
    for color, process in app.status()["colors"].items():
        os.kill(process["pid"], signal.SIGKILL)
        (written,) = app.state.glob(f"{color}/process*")
        written.write_text(json.dumps({**json.loads(written.read_text()), "boot": "an earlier one"}))
    status = app.status()
    assert {color["state"] for color in status["colors"].values()} == {"stopped"}
    assert [note.partition(":")[0] for note in status["notes"]] == ["green is live but does not run"]
    findings = {row["what"] for row in app.teal("doctor", "--json").result["findings"]}
    assert ("live" in findings, "memory" in findings) == (True, False)  # what does not run holds no memory
    assert app.teal("rollback", "--json").ok().result["outcome"] == "live"
    assert app.get()["version"] == "v1"
