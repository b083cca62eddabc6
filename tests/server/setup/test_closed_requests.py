"""Another site, or a hand, makes nginx close connections without an answer (`return 444`). That is an answer: Teal
neither waits for another one nor takes nginx for hung, and says whom it asks for what.
"""

from typing import Any

import pytest

from harness import Server
from harness.world import App, status_of, wait_until
from hints.walk import hint_of, type_in
from server.setup.nginx_state import get, reload
from server.setup.results import setup_changes

SITE = "etc/nginx/conf.d/teal-shop.conf"
CLOSING = "server { listen 8091 default_server; return 444; }\n"


@pytest.fixture
def behind_closed(app: App, shared: Server, put: Any) -> App:
    """An app with a name on a port whose default site closes every connection."""
    put("/etc/nginx/conf.d/closing.conf", CLOSING)
    app.config(server={"http_port": 8091, "domains": ["shop.example"]})
    app.teal("setup").ok()
    app.deploy().ok()
    assert get(shared, "other.example", 8091) == ""
    return app


def test_setup_killed_between_its_file_and_the_reload_is_repeated_beside_a_site_that_closes_connections(
    behind_closed: App, shared: Server
) -> None:
    app, file = behind_closed, shared.root / SITE
    text = file.read_text()
    file.unlink()
    reload(shared)
    wait_until(lambda: get(shared, "shop.example", 8091) == "")  # an old worker may still answer
    file.write_text(text)
    file.chmod(0o600)
    refused = app.deploy().result["error"]
    assert (refused["exit_code"], refused["message"]) == (3, "nginx does not serve shop as setup agreed")
    hint_of(refused, "teal doctor")
    findings = app.teal("doctor", "--json").result["findings"]
    (cure,) = {row["hint"] for row in findings if row["state"] == "fault"}
    assert cure == "teal setup"
    assert "which does not serve the app as agreed" in " ".join(setup_changes(app, "--dry-run"))
    type_in(app, cure)
    assert get(shared, "shop.example", 8091).startswith("200 {")
    assert get(shared, "other.example", 8091) == ""
    assert app.deploy().ok().result["outcome"] == "unchanged"


def test_hand_that_closes_the_connections_of_an_app_is_named_and_setup_opens_the_app_again(
    behind_closed: App, shared: Server
) -> None:
    app, file = behind_closed, shared.root / SITE
    app.program(version="v2")
    app.deploy().ok()
    text = file.read_text()
    file.write_text(text.replace("    server_name shop.example;\n", "    server_name shop.example;\n    return 444;\n"))
    reload(shared)
    wait_until(lambda: get(shared, "shop.example", 8091) == "")
    assert app.deploy().result["error"]["message"] == "nginx does not serve shop as setup agreed"
    refused = app.teal("rollback", "--json").result["error"]
    assert "gives no answer" not in refused["message"]
    assert app.status()["live"] == "green"
    app.teal("setup", "--yes").ok()
    assert '"v2"' in get(shared, "shop.example", 8091)
    assert app.teal("rollback", "--json").ok().result["outcome"] == "live"
    assert '"v1"' in get(shared, "shop.example", 8091)


def test_path_that_the_users_own_directive_closes_is_no_silence_of_nginx(app: App, shared: Server) -> None:
    """Verify asks that path. The release is rolled back; the traffic stays, and nothing is left open."""
    app.config()
    app.teal("setup").ok()
    app.deploy().ok()
    closed = {"directives": ["location = /closed { return 444; }"]}
    app.config(proxy=closed, verify={"path": "/closed", "json": None})
    app.teal("setup").ok()
    app.program(version="v2")
    ended = app.deploy()
    assert (ended.code, ended.result["outcome"]) == (7, "rolled_back")
    assert "ended before it began" in ended.result["error"]["message"]
    assert '"v1"' in get(shared, "x")
    app.config(proxy=closed)
    assert app.deploy().ok().result["outcome"] == "live"
    assert status_of(f"http://{shared.address}/") == 200
