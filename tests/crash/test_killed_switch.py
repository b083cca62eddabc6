"""Requests that are under way when a switch is interrupted."""

import json
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crash.scenes import QUICK, Scene
from harness.background import in_background
from harness.world import wait_until
from teal_host.ground import processes

BODY = b"x" * 100_000  # more than nginx keeps in memory


def nginx_buffers_an_upload(scene: Scene) -> bool:
    """Whether nginx has read the head of a request, chosen its color, and buffers the body in an unlinked file."""
    home = scene.app.world.root / "etc/nginx"
    workers = processes.session(int((home / "nginx.pid").read_text()))
    held = [str(entry.readlink()) for pid in workers for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return any(name.startswith(str(home / "temp/body")) for name in held)


def an_hour_passes(scene: Scene) -> None:
    """Makes every entry of the journal an hour older."""
    journal = scene.app.state / "journal"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        line["at"] = (datetime.fromisoformat(line["at"]) - timedelta(hours=1)).isoformat()
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.row("D17")
def test_upload_that_began_before_a_killed_switch_ends_on_the_color_where_it_began(two: Scene) -> None:
    an_hour_passes(two)
    with socket.create_connection(("127.0.0.1", two.app.ports[0]), timeout=120) as visitor:
        head = f"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n"
        visitor.sendall(head.encode() + BODY[:50_000])
        wait_until(lambda: nginx_buffers_an_upload(two))
        new = two.new_version()
        assert two.deploy("turn link live+1").was_ended
        two.check_serves(new)
        two.app.config(**{**QUICK, "keep": {**QUICK["keep"], "drain_s": 60}})
        two.new_version()
        with in_background(two.app, "deploy", "--json") as deploying:
            deploying.wait_for(type="step", name="start", detail="waiting for the last work of green")
            visitor.sendall(BODY[50_000:])
            answer = b"".join(iter(lambda: visitor.recv(65_536), b""))
            deploying.ended().ok()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nX-Color: green\r\n" in answer
    assert answer.endswith(BODY)
