"""Lines that are slow, lose packets or are reset: the client reports how the deploy ended, and one release serves."""

import contextlib
import itertools
import os
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from bench.link import Link, wire

from harness.background import in_background
from harness.ssh_access import run, write_program
from harness.world import wait_until
from server.shop import Shop

LARGE = 48_000_000


@contextmanager
def by_way_of(shop: Shop, port: int) -> Iterator[None]:
    """Sends ssh through this port of 127.0.0.1, with its own connection for each command."""
    ssh = shop.app.world.home / "bin/ssh"
    before = ssh.read_text()
    config = shop.server.directory / "detour"
    detour = f"Host *\n    HostName 127.0.0.1\n    Port {port}\n    HostKeyAlias {shop.server.address}\n"
    config.write_text(detour + shop.server.ssh_config.read_text())
    write_program(ssh, f"#!/bin/sh\nexec /usr/bin/ssh -F '{config}' \"$@\"\n")
    try:
        yield
    finally:
        write_program(ssh, before)


@contextmanager
def dropping(shop: Shop, one_in: int) -> Iterator[None]:
    """Drops one in so many packets of ssh in both directions, and checks that packets were dropped."""
    run(shop.server, "apt-get", "install", "-y", "nftables")
    # counted and not random, because a round without a loss would show nothing
    lost = f"numgen inc mod {one_in} 0 counter drop"
    chains = {"input": f"tcp dport 22 {lost}", "output": f"tcp sport 22 {lost}"}
    rules = "\n".join(f"chain {way} {{ type filter hook {way} priority 0; {rule}; }}" for way, rule in chains.items())
    run(shop.server, "nft", f"table inet lossy {{\n{rules}\n}}")
    try:
        yield
        counters = run(shop.server, "nft", "list", "table", "inet", "lossy")
        assert all(int(count) > 0 for count in re.findall(r"packets (\d+)", counters)), counters
    finally:
        run(shop.server, "nft", "delete", "table", "inet", "lossy")


@pytest.mark.row("B9")
def test_upload_reports_its_progress_over_a_slow_line_that_loses_packets(shop: Shop) -> None:
    """The line has 80 kbit/s, a round trip of a third of a second, and loses one packet in fifty."""
    shop.serving()
    version = shop.new_large_version(8_000)
    line = wire(Link("bad", 300, 0.08), shop.server.address, 22)
    with dropping(shop, 50), line as bad, by_way_of(shop, bad.port):
        ended = shop.app.deploy().ok()
    assert ended.result["outcome"] == "live"
    progress = [event["done"] for event in ended.lines if event["type"] == "progress" and event["step"] == "upload"]
    assert progress == sorted(progress)
    assert progress[-1] > 8_000
    shop.config()
    shop.check_settled(version)


class Relay:
    """A relay between ssh and sshd that can reset both connections."""

    def __init__(self, address: str) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._address = address
        self._ends: list[socket.socket] = []
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self) -> None:
        """Waits for a connection, then sends RST and not FIN, so that everything on its way is discarded."""
        wait_until(lambda: len(self._ends) == 2)
        for end in self._ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):  # the connection may have ended by itself
                end.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
        for end in self._ends:
            end.close()
        self._door.close()

    def _serve(self) -> None:
        near, _ = self._door.accept()
        far = socket.create_connection((self._address, 22))
        self._ends = [near, far]
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)


@pytest.mark.row("B5")
@pytest.mark.parametrize(("step", "code", "outcome"), [("upload", 4, "refused"), ("health", 9, "unknown")])
def test_reset_line_ends_a_deploy_as_a_cut_line_does(shop: Shop, step: str, code: int, outcome: str) -> None:
    old, relay = shop.serving(), Relay(shop.server.address)
    new = shop.new_large_version(LARGE) if step == "upload" else shop.new_version(starts_after=0.3)
    with by_way_of(shop, relay.port), in_background(shop.app, "deploy", "--json") as running:
        if step == "upload":
            running.wait_for(type="progress", step=step)
        else:
            running.wait_for(type="step", name=step, state="started")
        relay.reset()
        ended = running.ended()
    assert (ended.code, ended.result["outcome"]) == (code, outcome)
    shop.config()
    shop.wait_for_no_notes()
    shop.check_settled(old if step == "upload" else new)


STEP = 1 if os.environ.get("TEAL_EVERY_ACT") else 8


@pytest.mark.row("B5")
@pytest.mark.timeout(900)
def test_deploy_reports_how_it_ended_when_the_line_is_reset_at_any_message(
    shop: Shop, counted: Callable[..., None]
) -> None:
    codes = (reset_after(shop, seen) for seen in itertools.count(0, STEP))
    ends = Counter(itertools.takewhile(lambda code: code is not None, codes))
    counted(resets=ends.total())
    assert {4, 9} <= set(ends), "not both sides of the commit were met"


def reset_after(shop: Shop, seen: int) -> int | None:
    """Resets the line after so many events. Returns the exit code of the deploy, or None if it has fewer events."""
    old, new, relay = shop.deployed(), shop.new_large_version(LARGE // 4, starts_after=0.3), Relay(shop.server.address)
    with by_way_of(shop, relay.port), in_background(shop.app, "deploy", "--json") as running:
        wait_until(lambda: len(running.events) > seen or running.process.poll() is not None)
        relay.reset()
        if len(running.events) <= seen:
            return None
        code = running.ended().code
    shop.config()
    shop.wait_for_no_notes()
    shop.check_settled(shop.check_serves(*{0: [new], 4: [old], 9: [old, new]}[code]))
    return code
