"""When setup guards the ports, and what it does where nft cannot be installed."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from teal_host.ground import sockets, systemctl
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths
from teal_host.preparations import account, certificate, packages, ports
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.state.app import App
from teal_host.steps import switch
from teal_host.stories import setup
from teal_host.supervisors import nftables
from teal_host.supervisors.port_limits import PortLimits
from teal_host.wire.app import Ports, Sandbox
from teal_host.wire.requests import Setup

REQUEST = cast(Setup, SimpleNamespace(no_key="", key=""))


def change(text: str, part: str = "setup") -> SetupChange:
    return SetupChange(text, lambda: None, part=part)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """No nft is there, and apt-get cannot install it."""
    monkeypatch.setattr(nftables, "is_installed", lambda: False)
    monkeypatch.setattr(setup, "_intent", lambda *_: SimpleNamespace(user="", agreed=None, of_keys=None))
    monkeypatch.setattr(ports, "unprotected", lambda *_: "open")
    monkeypatch.setattr(packages, "changes", lambda *_: [change("install nftables")])
    warned: list[str] = []
    return SimpleNamespace(warned=warned, warn=warned.append)


def test_setup_tries_once_to_install_nft_and_warns_of_what_is_open(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(setup, "_apply", lambda _, applied: tried.append(applied.description))
    load = replace(change("load the table inet teal-shop into nftables", "ports"), is_optional=True)
    changes = [change("install nftables", "packages"), load, change("write a file", "ports")]
    monkeypatch.setattr(setup, "planned", lambda *_: changes)
    setup._install(app, REQUEST, changes)
    assert (tried, app.warned) == (["install nftables"], ["open: apt-get cannot install nftables"])
    assert [row.description for row in setup._as_planned(app, REQUEST, changes)] == ["write a file"]
    monkeypatch.setattr(nftables, "is_installed", lambda: True)
    assert load in setup._as_planned(app, REQUEST, changes)


def test_setup_goes_on_when_it_could_ask_nginx_only_after_it_installed_it(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the changes are, not by their words."""
    shown = [change("nginx, from its package", "packages"), change("write a file")]
    monkeypatch.setattr(setup, "planned", lambda *_: [change("write a file, and more")])
    assert [row.description for row in setup._as_planned(app, REQUEST, shown)] == ["write a file, and more"]
    with pytest.raises(BadRequest, match="has changed since the plan"):
        setup._as_planned(app, REQUEST, [change("install a file"), *shown[1:]])


def test_setup_guards_the_new_ports_only_after_nginx_asks_them(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a setup that fails at nginx leaves the guard at the ports that are agreed on."""
    for part in ("account", "server_side", "unit", "tls_folder", "certificate", "route", "ports", "renewal"):
        monkeypatch.setattr(getattr(setup, part), "changes", lambda _, part=part: [change(part)])
    monkeypatch.setattr(account, "shut_out", lambda _: [])
    monkeypatch.setattr(certificate, "check_is_possible", lambda _: None)
    monkeypatch.setattr(certificate, "orders", lambda _: [])
    monkeypatch.setattr(switch, "check_live_link", lambda _: None)
    monkeypatch.setattr(setup, "_agreement", lambda *_: [change("agree")])
    monkeypatch.setattr(setup, "_key_changes", lambda _: [])
    rows = [row.description for row in setup.planned(app, REQUEST)]
    assert rows[-5:] == ["certificate", "route", "ports", "agree", "renewal"]


def test_setup_names_what_a_live_program_may_not_take_at_its_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    agreed = PortLimits(AppPaths(Path("/"), "shop"), "teal-shop", (Ports(8081, 8082),), Sandbox(), True, 32768, "")
    supervisor = SimpleNamespace(pids=lambda _: {7})
    intent = cast(Intent, SimpleNamespace(app=SimpleNamespace(host=SimpleNamespace(supervisor=supervisor))))
    monkeypatch.setattr("teal_host.preparations.ports.read_slots", lambda _: SimpleNamespace(live="blue"))
    monkeypatch.setattr(sockets, "ports_of", lambda *_: {"8081 (tcp)", "9090 (tcp)"})
    (text,) = ports._lost(intent, agreed)
    assert text.startswith("blue also listens on 9090 (tcp): from its next start on it may not")
    assert list(ports._lost(intent, replace(agreed, pairs=(*agreed.pairs, Ports(9090, 9091))))) == []


@pytest.mark.parametrize(
    ("slice_now", "knows", "asked"),
    [
        ("", True, r"system-teal\x2dshop.slice"),
        (r"system-teal\x2dshop.slice", True, r"system-teal\x2dshop.slice"),
        ("of-the-admin.slice", True, ""),
        ("", False, ""),
    ],
)
def test_rules_name_the_slice_only_where_the_app_is_in_it(
    slice_now: str, knows: bool, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere they would close the app."""
    monkeypatch.setattr(ports, "obstacle", lambda: None)
    monkeypatch.setattr(systemctl, "properties", lambda *_: {"Slice": slice_now})
    monkeypatch.setattr(nftables, "knows_listeners", lambda: knows)
    agreed = SimpleNamespace(pairs=(Ports(8081, 8082),), sandbox=Sandbox())
    app = SimpleNamespace(paths=AppPaths(Path("/"), "shop"))
    assert ports.limits_of(cast(Intent, SimpleNamespace(app=app, agreed=agreed, user="u"))).slice == asked
