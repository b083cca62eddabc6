"""What was first found by hand, trying it as a new user would."""

import os
import signal

from beside import stranger
from world import App, World, wait_until


def test_a_rollback_never_leads_to_what_was_gone_back_from(app: App) -> None:
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


def test_what_was_gone_back_from_can_be_gone_forward_to_by_its_number(app: App) -> None:
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


def test_a_taken_domain_is_told_before_the_upload_and_leaves_no_release(app: App, world: World) -> None:
    app.config(server={"domains": ["one.localhost"]})
    app.deploy().ok()
    other = world.app("other")
    other.config(server={"domains": ["one.localhost"], "http_port": app.ports[0]})
    refused = other.deploy()
    assert refused.code == 3
    assert "is served for the app shop already" in refused.err
    assert other.teal("releases", "--json").ok().result["releases"] == []


def test_a_rollback_onto_a_taken_port_of_nginx_is_refused_before_anything_is_touched(app: App, world: World) -> None:
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


def test_a_program_of_the_release_without_its_dot_is_told_how_to_write_it(app: App) -> None:
    app.config(run={"command": ["program"]})
    refused = app.deploy()
    assert refused.code == 3
    assert 'write "./program"' in refused.err


def test_a_404_asks_whether_the_path_is_right(app: App) -> None:
    app.program(version="v1", health=404)
    app.config(health={"path": "/healthz", "deadline_s": 1})
    refused = app.deploy()
    assert refused.code == 6
    assert "is [health] path the right one" in refused.err
