"""One suite for each seam: what every implementation must do, whichever `main` chooses."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from power.stories import Clock
from teal_host.ground.errors import BadRequest, CannotRun, HostError
from teal_host.ground.paths import HostPaths
from teal_host.preparations.change import digest
from teal_host.provisioning.local import LocalProvisioning
from teal_host.provisioning.server import ServerProvisioning
from teal_host.proxies.local_nginx import LocalNginx
from teal_host.proxies.system_nginx import SystemNginx
from teal_host.state import agreement, footprint
from teal_host.state.agreement import Agreement
from teal_host.state.route import Route
from teal_host.state.seams import Provisioning, Proxy, Supervisor
from teal_host.steps import judgement
from teal_host.steps.switch import NotKnown
from teal_host.supervisors.process import PlainProcesses
from teal_host.supervisors.systemd import Systemd
from teal_host.wire import typed
from teal_host.wire.app import AppSpec

SPEC = {
    "app": "shop",
    "site": {"domains": ["shop.example.com"], "http_port": 18080},
    "run": {"command": ["./program"], "ports": {"blue": 18081, "green": 18082}},
    "health": {},
    "verify": {},
    "keep": {},
}


class RecordingProxy:
    """Records each route that it should serve. `serving` is the answer to whether the proxy serves a route."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.serving = True
        self.silent = False

    def check_site(self, site: object) -> None:
        return

    def try_route(self, route: Route, others: object) -> None:
        return

    def serve(self, route: Route, others: object) -> bool:
        self.acts.append(f"serve {route.app}")
        return True

    def remove(self, app: str, others: object) -> None:
        self.acts.append(f"remove {app}")

    def serves(self, route: Route) -> bool:
        if self.silent:
            raise CannotRun("nginx gives no answer: no whole answer within 5 s")
        return self.serving


def spec(**changed: Any) -> AppSpec:
    return typed.decode(AppSpec, {**SPEC, **changed})


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    return HostPaths(tmp_path)


@pytest.fixture
def proxy() -> Any:
    return RecordingProxy()


@pytest.fixture(params=[LocalProvisioning, ServerProvisioning])
def provisioning(request: pytest.FixtureRequest, paths: HostPaths, proxy: Any) -> Provisioning:
    return cast(Provisioning, request.param(paths, proxy))


@pytest.fixture
def agreed(paths: HostPaths) -> Agreement:
    """The agreement of the app, as stored."""
    agreed = agreement.propose(paths, spec(), None)
    agreement.save(paths.app("shop"), agreed)
    return agreed


@pytest.mark.parametrize(
    ("seam", "kind"),
    [
        (Supervisor, PlainProcesses),
        (Supervisor, Systemd),
        (Proxy, LocalNginx),
        (Proxy, SystemNginx),
        (Provisioning, LocalProvisioning),
        (Provisioning, ServerProvisioning),
    ],
)
def test_implementation_takes_the_arguments_of_its_seam(seam: type, kind: type) -> None:
    for name, asked in inspect.getmembers(seam, inspect.isfunction):
        if not name.startswith("_"):
            parameters = inspect.signature(getattr(kind, name)).parameters
            assert list(parameters) == list(inspect.signature(asked).parameters), f"{kind.__name__}.{name}"


def test_agreement_for_what_was_agreed_is_the_agreement(
    provisioning: Provisioning, paths: HostPaths, agreed: Agreement
) -> None:
    own = provisioning.agreement_for(spec(), "blue")  # locally with the way to sockets, used or not
    assert own == replace(agreed, sockets=own.sockets)
    agreement.save(paths.app("shop"), own)
    assert provisioning.agreement_for(spec(), "blue") == own


def test_open_route_returns_only_when_the_proxy_serves(
    provisioning: Provisioning, agreed: Agreement, proxy: Any
) -> None:
    provisioning.open_route(agreed)
    proxy.serving = False
    if "serve shop" not in proxy.acts:  # this process opens nothing itself
        with pytest.raises(HostError, match="nginx does not serve shop"):
            provisioning.open_route(agreed)


def test_route_is_checked_before_the_upload_where_setup_opened_it(
    paths: HostPaths, agreed: Agreement, proxy: Any
) -> None:
    for provisioning in (LocalProvisioning(paths, proxy), ServerProvisioning(paths, proxy)):
        provisioning.check_route(agreed, 0.1)
    proxy.serving = False
    LocalProvisioning(paths, proxy).check_route(agreed, 0.1)
    with pytest.raises(BadRequest, match="nginx does not serve shop as setup agreed"):
        ServerProvisioning(paths, proxy).check_route(agreed, 0.1)
    assert proxy.acts == []


def test_route_of_a_proxy_that_gives_no_answer_is_not_known_and_stays_open(
    paths: HostPaths, agreed: Agreement, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.silent = True
    server = ServerProvisioning(paths, proxy)
    with pytest.raises(NotKnown, match="nginx gives no answer: no whole answer within 5 s"):
        server.check_route(agreed, 0.1)
    monkeypatch.setattr(judgement, "time", Clock())
    server.open_route(agreed)


TLS = "server {\n  listen 443 ssl;\n  ssl_certificate /etc/x.pem;\n  ssl_certificate_key /etc/x.key;\n}\n"


@pytest.mark.parametrize(
    ("written", "message"), [(TLS, "nginx does not serve shop as setup"), ("", "has put HTTPS into")]
)
def test_route_that_is_not_served_is_blamed_on_a_hand_only_if_a_hand_wrote_the_file(
    paths: HostPaths, agreed: Agreement, proxy: Any, written: str, message: str
) -> None:
    """Teal wrote HTTPS by [proxy] directives, and nginx could not load the file."""
    file = paths.root / "shop.conf"
    file.write_text(TLS)
    app = paths.app("shop")
    footprint.save(app, footprint.Footprint(nginx=str(file)).with_file(file, digest(written)))
    proxy.serving = False
    with pytest.raises(BadRequest, match=message) as refused:
        ServerProvisioning(paths, proxy).check_route(agreed, 0.1)
    assert (refused.value.hint == "teal doctor") == bool(written)


def test_close_route_takes_the_app_off_the_proxy(provisioning: Provisioning, paths: HostPaths, proxy: Any) -> None:
    provisioning.close_route(paths.app("shop"))
    assert proxy.acts == ["remove shop"]


def test_doctor_has_checks_of_different_names(provisioning: Provisioning) -> None:
    names = [check.what for check in provisioning.checks()]
    assert names[0] == "live"
    assert len(names) == len(set(names)) >= 7
    assert provisioning.without_agreement("shop").what == "setup"


def test_local_deploy_agrees_and_needs_no_setup(paths: HostPaths, proxy: Any) -> None:
    local = LocalProvisioning(paths, proxy)
    local.check_is_set_up(paths.app("shop"))
    with pytest.raises(BadRequest, match="needs no setup"):
        local.check_setup_is_possible()
    agreed = local.agreement_for(spec(), "blue")
    assert agreement.load(paths.app("shop")) is None
    local.open_route(agreed)
    assert agreement.load(paths.app("shop")) == agreed
    local.withdraw_route(paths.app("shop"))
    local.restore_route(agreed)
    assert proxy.acts == ["serve shop", "remove shop", "serve shop"]


def test_server_deploy_waits_for_setup_and_leaves_the_route(paths: HostPaths, proxy: Any) -> None:
    server = ServerProvisioning(paths, proxy)
    server.check_setup_is_possible()
    for refused in (lambda: server.check_is_set_up(paths.app("shop")), lambda: server.agreement_for(spec(), "blue")):
        with pytest.raises(BadRequest, match="this server is not set up for shop"):
            refused()
    agreed = agreement.propose(paths, spec(), None)
    agreement.save(paths.app("shop"), agreed)
    server.check_is_set_up(paths.app("shop"))
    server.open_route(agreed)
    server.withdraw_route(paths.app("shop"))
    server.restore_route(agreed)
    assert proxy.acts == []


def test_server_deploy_names_every_key_that_is_not_as_agreed(paths: HostPaths, proxy: Any, agreed: Agreement) -> None:
    server = ServerProvisioning(paths, proxy)
    other = spec(site={"domains": ["other.example.com"], "http_port": 18080})
    with pytest.raises(BadRequest, match=r"\[server\] domains") as refused:
        server.agreement_for(other, "blue")
    assert any("shop.example.com" in line and "other.example.com" in line for line in refused.value.evidence)
    moved = spec(run={"command": ["./program"], "ports": {"blue": 18091, "green": 18082}})
    assert server.agreement_for(moved, "green") == agreed  # only the color that is started is compared
    with pytest.raises(BadRequest, match=r"\[run\] ports\.blue"):
        server.agreement_for(moved, "blue")
