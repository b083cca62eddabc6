"""The text of the rules and limits of an app's ports, and who is a stranger on a port."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from teal_host.ground import sockets
from teal_host.ground.paths import AppPaths
from teal_host.preparations.ports import doubts
from teal_host.proxies.upstream import TcpPort
from teal_host.state.releases import Record
from teal_host.steps.candidate import Candidate
from teal_host.supervisors.port_limits import PortLimits, color_text, loader_text, rules_text, slice_of
from teal_host.wire.app import Ports, Run, Sandbox

PATHS = AppPaths(Path("/"), "shop")


def limits(ports: Ports, sandbox: Sandbox = Sandbox(), filtered: bool = True, own: str = "s.slice") -> PortLimits:  # noqa: B008
    return PortLimits(PATHS, "teal-shop", (ports,), sandbox, filtered, clients_from=32768, slice=own)


def test_rules_stop_whole_packets_below_the_ports_of_clients_and_beginnings_above() -> None:
    text = rules_text(limits(Ports(8081, 40001)))
    assert '\t\ttcp sport 8081 meta skuid != "teal-shop" reject' in text
    assert '\t\tiifname != "lo" tcp dport 8081 drop' in text
    assert '\t\ttcp sport 40001 tcp flags & (syn | ack) == syn | ack meta skuid != "teal-shop" reject' in text
    assert '\t\tiifname != "lo" tcp dport 40001 tcp flags & (syn | ack) == syn drop' in text
    assert "\t\ttcp dport 8081 goto listeners" in text
    assert "\t\ttcp dport 40001 tcp flags & (syn | ack) == syn goto listeners" in text
    assert {line.split()[1] for line in text.splitlines() if line.startswith("table")} == {"inet"}


@pytest.mark.parametrize("port", [8081, 40001])
def test_rules_stop_no_answer_that_nobody_owns(port: int) -> None:
    """As a SYN cookie of the app's listener: any local user can fill the queue of half-open connections."""
    rows = [row for row in rules_text(limits(Ports(port, 8082))).splitlines() if f"sport {port} " in row]
    assert rows and all("meta skuid !=" in row for row in rows)


def test_rules_ask_for_the_slice_of_a_listener_only_where_they_can() -> None:
    assert slice_of(AppPaths(Path("/"), "my-shop")) == r"system-teal\x2dmy\x2dshop.slice"
    text = rules_text(limits(Ports(8081, 8082)))
    assert 'socket cgroupv2 level 2 "system.slice/s.slice" accept' in text
    assert "Slice=s.slice\n" in loader_text(limits(Ports(8081, 8082)))
    blind = limits(Ports(8081, 8082), own="")
    assert "socket" not in rules_text(blind) and "Slice" not in loader_text(blind)
    assert "its slice" in next(doubts(blind))


def test_rules_of_other_ports_have_another_digest() -> None:
    rules, moved = (rules_text(limits(Ports(8081, green))) for green in (8082, 8083))
    assert rules.rsplit('"', 2)[1] != moved.rsplit('"', 2)[1]


@pytest.mark.parametrize("color", ["blue", "green"])
def test_color_may_bind_its_own_port_and_low_ones_only_where_agreed(color: str) -> None:
    slot = next(slot for slot in PATHS.colors if slot.color == color)
    port = {"blue": 8081, "green": 8082}[color]
    allowed = [line for line in color_text(limits(Ports(8081, 8082)), slot).splitlines() if "Allow" in line]
    assert allowed == [f"SocketBindAllow={port}"]
    two = PortLimits(PATHS, "teal-shop", (Ports(8081, 8082), Ports(9081, 9082)), Sandbox(), True, 32768, "")
    assert f"SocketBindAllow={port}\nSocketBindAllow={port + 1000}\n" in color_text(two, slot)
    assert f'iifname != "lo" tcp dport {port + 1000} drop' in rules_text(two)
    low = color_text(limits(Ports(8081, 8082), Sandbox(capabilities=("CAP_NET_BIND_SERVICE",))), slot)
    assert "SocketBindAllow=1-1023" in low
    assert "nft" not in color_text(limits(Ports(8081, 8082), filtered=False), slot)


@pytest.mark.parametrize(
    ("run", "pairs", "ports"),
    [
        (Run(("./app",)), [(8081, 8082), (9081, 9082)], [8082]),
        (Run(("./app",), ports2=Ports(9071, 9072)), [(8081, 8082), (9081, 9082)], [8082, 9082]),
        (Run(("./app",), ports2=Ports(9071, 9072)), [(8081, 8082)], [8082, 9072]),
        (Run(("./app", "{socket}"), ports2=Ports(9071, 9072)), [(8081, 8082), (9081, 9082)], [9082]),
        (Run(("./app", "{socket}")), [(8081, 8082)], []),
    ],
)
def test_release_takes_the_ports_that_are_agreed_and_that_it_asks_for(
    run: Run, pairs: list[tuple[int, int]], ports: list[int]
) -> None:
    """Where the agreement was lost, a release of before has its own second port."""
    record = cast(Record, SimpleNamespace(spec=SimpleNamespace(run=run)))
    candidate = Candidate(record, "green", tuple(Ports(*pair) for pair in pairs), PATHS)
    assert [port.number for port in candidate.tcp_ports] == ports
    assert candidate.places.get("port2") == (str(ports[-1]) if run.ports2 else None)


def test_stranger_is_a_listener_of_nobody_among_the_owners() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        upstream = TcpPort(port)
        stranger = sockets.stranger_among(upstream.listeners, set)
        assert stranger and stranger.port == port
        assert sockets.stranger_among(upstream.listeners, lambda: {os.getpid()}) is None
        assert upstream.is_met_at(stranger)
    with socket.create_server(("127.0.0.2", port)):
        assert not any(map(upstream.is_met_at, upstream.listeners()))


def test_ports_of_processes_are_all_that_can_be_met_but_those_of_udp_clients() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        met, asks = f"{tcp.getsockname()[1]} (tcp)", udp.getsockname()[1]
        assert {met, f"{asks} (udp)"} <= sockets.ports_of({os.getpid()}, 65536)
        assert f"{asks} (udp)" not in sockets.ports_of({os.getpid()}, asks)


def test_setup_warns_of_ports_that_clients_get_too() -> None:
    (text,) = doubts(limits(Ports(8081, 40001)))
    assert "port 40001" in text and "set run.ports below 32768" in text
