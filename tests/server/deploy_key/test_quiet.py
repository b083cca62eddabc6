"""What one app writes and what a client says are no matter of others. At 768eec4 each of these was otherwise."""

import json

import pytest

from harness.deploy_keys import KeyedServer


@pytest.mark.row("S12")
def test_probe_token_is_readable_for_root_alone(keyed: KeyedServer) -> None:
    token = json.loads((keyed.server.root / "etc/teal/one/app.json").read_text())["token"]
    assert keyed.as_teal("grep", "-rls", token, "/etc", "/var/lib", "/run", "/var/log").stdout == ""
    assert keyed.server.run("grep", "-rls", token, "/etc/nginx").stdout.strip().endswith("teal-one.conf")


def test_setup_closes_a_site_file_that_an_earlier_teal_left_open(keyed: KeyedServer) -> None:
    path = keyed.server.run("sh", "-c", "ls /etc/nginx/*/teal-one.conf").stdout.strip()
    keyed.server.run("chmod", "644", path)
    assert f"change {path}" in keyed.app_one.teal("setup").ok().err
    assert keyed.server.run("stat", "-c", "%a", path).stdout.strip() == "600"
    assert "nothing to do" in keyed.app_one.teal("setup").ok().out


@pytest.mark.row("S12")
def test_app_cannot_fill_the_log_of_the_system(keyed: KeyedServer) -> None:
    shown = keyed.server.run("systemctl", "show", "teal-two@blue", "--property=LogRateLimitBurst", "--value").stdout
    assert 0 < int(shown) <= 10_000
    keyed.app_two.program(version="loud", shouts=[60_000, 20])
    keyed.app_two.deploy().ok()
    unit = f"teal-two@{keyed.app_two.status()['live']}"
    keyed.server.run("journalctl", "--sync")
    lines = keyed.server.run("sh", "-c", f"journalctl -b -o cat -u {unit} | grep -c '^0000'").stdout
    assert 0 < int(lines) <= 45_000  # journald allows four times as many on a large disk
