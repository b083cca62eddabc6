"""Names and ports: each belongs to one app, and the serving app keeps its own."""

import json
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.world import free_ports
from host import values
from teal_host.ground.errors import BadRequest, NeedsHuman
from teal_host.ground.paths import HostPaths
from teal_host.provisioning.local import LocalProvisioning
from teal_host.state import agreement
from teal_host.state.agreement import Agreement
from teal_host.state.app import App, Host
from teal_host.state.key_limits import KeyLimits
from teal_host.state.slots import Slots
from teal_host.steps import ports
from teal_host.steps.scene import Scene
from teal_host.stories import deploy as deploys
from teal_host.wire.app import NO_HTTPS, AppSpec, Health, Https, Keep, Ports, ProxyRules, Run, Site, Verify
from teal_host.wire.manifest import Entry, Manifest, Origin, digest_of
from teal_host.wire.reports import Color
from teal_host.wire.requests import Deploy

TOKEN = "0" * 32


def spec(app: str = "shop", ports: tuple[int, int] | None = None, site: Site | None = None) -> AppSpec:
    run = Run(("./program",), Ports(*ports) if ports else None)
    return AppSpec(app, site or Site((f"x{app}x.test",), 28080), run, Health(), Verify(), Keep())


def agreed(app: str = "shop", ports: tuple[int, int] = (8081, 8082), site: Site | None = None) -> Agreement:
    site = site or Site((f"x{app}x.test",), 28080)
    return Agreement(app, site, Ports(*ports), TOKEN, fallback=True, keys=KeyLimits())


@pytest.fixture
def host(tmp_path: Path) -> HostPaths:
    return HostPaths(tmp_path)


def keep(host: HostPaths, *agreements: Agreement) -> None:
    for agreement_ in agreements:
        agreement.save(host.app(agreement_.app), agreement_)


def test_agreement_is_loaded_as_saved(host: HostPaths) -> None:
    keep(host, agreed())
    assert agreement.load(host.app("shop")) == agreed()
    assert host.app("shop").agreed.stat().st_mode & 0o777 == 0o600


def test_new_app_has_no_agreement(host: HostPaths) -> None:
    assert agreement.load(host.app("shop")) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("}", ""),
        ('"format": 2', '"format": "2"'),
        ('"format": 2', '"format": 0'),
        ('"format": 2', '"format": true'),
        ('"blue": 8081', '"blue": 8082'),
        ('"blue": 8081', '"blue": 80'),
        ('"xshopx.test"', '"xshopx.test; return 200"'),
        ('"app": "shop"', '"app": "../x"'),
        ('"token"', '"tocken"'),
        (TOKEN, '\\" \\"; } server {'),
    ],
)
def test_agreement_needs_a_human_when_damaged(host: HostPaths, before: str, after: str) -> None:
    keep(host, agreed())
    path = host.app("shop").agreed
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(NeedsHuman, match="cannot be read"):
        agreement.load(host.app("shop"))


def test_agreement_of_a_newer_teal_is_neither_read_nor_written(host: HostPaths) -> None:
    keep(host, agreed())
    path = host.app("shop").agreed
    path.write_text(path.read_text().replace('"format": 2', '"format": 4'))
    before = path.read_bytes()
    with pytest.raises(NeedsHuman, match="is of a newer Teal") as stopped:
        agreement.load(host.app("shop"))
    assert stopped.value.hint == "use the Teal that wrote it, or a later one"
    with pytest.raises(NeedsHuman, match="is of a newer Teal"):
        keep(host, agreed())
    assert path.read_bytes() == before


def test_agreement_keeps_the_keys_that_a_newer_teal_has_added(host: HostPaths) -> None:
    keep(host, agreed())
    path = host.app("shop").agreed
    path.write_text(path.read_text().replace('"format": 2', '"weights": {"blue": 5}, "format": 2'))
    assert agreement.load(host.app("shop")) == agreed()
    keep(host, agreed())
    assert json.loads(path.read_text())["weights"] == {"blue": 5}


def test_agreement_of_format_1_is_renewed_once(host: HostPaths) -> None:
    keep(host, agreed())
    path = host.app("shop").agreed
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    agreement.renew_format(host.app("shop"))
    renewed = path.stat().st_ino, path.read_text()
    assert '"format": 2' in renewed[1]
    agreement.renew_format(host.app("shop"))
    assert (path.stat().st_ino, path.read_text()) == renewed
    assert agreement.load(host.app("shop")) == agreed()


def test_agreement_has_the_higher_format_from_the_first_release_with_a_socket_on(host: HostPaths) -> None:
    """At 432588d a Teal without sockets read it, and took the way to the sockets out of nginx's file."""
    app = host.app("shop")

    def number(agreed: Agreement) -> int:
        agreement.save(app, agreed)
        return int(json.loads(app.agreed.read_text())["format"])

    local = replace(agreed(), sockets=True)  # the way is there, used or not
    assert number(local) == 2
    agreement.renew_format(app)
    assert number(local) == 2
    agreement.renew_format(app, on_socket=True)
    assert json.loads(app.agreed.read_text())["format"] == 3
    assert number(replace(local, sockets=False)) == 3
    app.agreed.unlink()
    assert [number(replace(agreed(), user="teal-shop", sockets=used)) for used in (False, True)] == [2, 3]
    app.agreed.unlink()
    assert number(replace(agreed(), ports2=Ports(9081, 9082))) == 3


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"[]", b"\xff", b"[" * 50_000])
@pytest.mark.row("A15")
def test_agreement_needs_a_human_when_its_file_is_garbage(host: HostPaths, content: bytes) -> None:
    keep(host, agreed())
    host.app("shop").agreed.write_bytes(content)
    with pytest.raises(NeedsHuman):
        agreement.load(host.app("shop"))


@pytest.mark.parametrize(
    ("mine", "wanted", "moving", "ports"),
    [
        (None, (9001, 9002), "blue", (9001, 9002)),
        ((8081, 8082), None, "blue", (8081, 8082)),
        ((8081, 8082), (8081, 8082), "green", (8081, 8082)),
        ((8081, 8082), (9001, 9002), "blue", (9001, 8082)),
        ((8081, 8082), (9001, 9002), "green", (8081, 9002)),
        ((8081, 8082), (8082, 8083), "green", (8081, 8083)),
    ],
)
def test_agreement_moves_only_the_port_of_the_color_that_is_started(
    host: HostPaths, mine: tuple[int, int] | None, wanted: tuple[int, int] | None, moving: Color, ports: tuple[int, int]
) -> None:
    if mine:
        keep(host, agreed(ports=mine))
    proposed = agreement.propose(host, spec(ports=wanted), moving)
    assert proposed.ports == Ports(*ports)
    assert proposed.token == TOKEN or mine is None


@pytest.mark.parametrize(
    ("wanted", "moving"), [((8082, 8081), "blue"), ((8082, 8081), "green"), ((8082, 8083), "blue")]
)
def test_color_is_refused_the_port_of_the_other_color(host: HostPaths, wanted: tuple[int, int], moving: Color) -> None:
    keep(host, agreed())
    with pytest.raises(BadRequest, match="still in use by the other color"):
        agreement.propose(host, spec(ports=wanted), moving)


@given(values.PAIRS, values.PAIRS, st.sampled_from(["blue", "green"]))
def test_port_of_the_live_color_never_moves(host: HostPaths, mine: Ports, wanted: Ports, live: Color) -> None:
    keep(host, replace(agreed(), ports=mine))
    moving: Color = "green" if live == "blue" else "blue"
    try:
        proposed = agreement.propose(host, spec(ports=(wanted.blue, wanted.green)), moving)
    except BadRequest:
        return
    assert proposed.ports.of(live) == mine.of(live)
    assert proposed.ports.of(moving) == wanted.of(moving)


@pytest.mark.parametrize(
    ("wanted", "site", "complaint"),
    [
        ((8082, 9002), None, "port 8082 of blue belongs to the app other"),
        ((9001, 8081), None, "port 8081 of green belongs to the app other"),
        ((28080, 9002), None, "port 28080 is both blue and http_port"),
        ((9001, 28080), None, "port 28080 is both green and http_port"),
        (None, Site(("a.test", "xotherx.test"), 28080), 'the domain "xotherx.test" is served for the app other'),
    ],
)
def test_port_or_domain_is_refused_naming_its_owner_when_taken(
    host: HostPaths, wanted: tuple[int, int] | None, site: Site | None, complaint: str
) -> None:
    keep(host, agreed("other"))
    with pytest.raises(BadRequest, match=complaint):
        agreement.propose(host, spec(ports=wanted, site=site), "blue")


@pytest.mark.parametrize(
    ("theirs", "mine", "fits"),
    [
        (Site((), 28080), Site((), 28080), False),
        (Site((), 28080), Site((), 28081), True),
        (Site((), 28080), Site(("a.test",), 28080), True),
        (Site(("a.test",), 28080), Site((), 28080), True),
        (Site(("a.test",), 28080), Site(("a.test",), 28080), False),
        (Site(("a.test",), 28080), Site(("a.test",), 28081), True),
        (Site(("a.test", "b.test"), 28080), Site(("c.test", "b.test"), 28080), False),
    ],
)
def test_domain_on_a_port_belongs_to_one_app(host: HostPaths, theirs: Site, mine: Site, fits: bool) -> None:
    keep(host, agreed("other", site=theirs))
    if fits:
        assert agreement.propose(host, spec(site=mine), "blue").site == mine
        return
    with pytest.raises(BadRequest, match="the app other already"):
        agreement.propose(host, spec(site=mine), "blue")


def test_agreement_changes_domains_and_proxy_rules_together(host: HostPaths) -> None:
    keep(host, agreed())
    rules = ProxyRules(7, directives=("deny all;",))
    wanted = agreement.propose(host, replace(spec(site=Site(("b.test",), 28080)), proxy=rules), "blue")
    assert (wanted.proxy, wanted.route(host.app("shop")).rules) == (rules, rules)
    assert agreement.with_route_of(wanted, agreed()) == replace(agreed(), ports=wanted.ports)
    agreement.save(host.app("shop"), wanted)
    assert agreement.load(host.app("shop")) == wanted


def test_app_gets_its_own_ports_again(host: HostPaths) -> None:
    keep(host, agreed())
    assert agreement.propose(host, spec(ports=(8081, 8082)), "blue") == agreed()


def with_second(ports: tuple[int, int] | None, second: tuple[int, int] | None) -> AppSpec:
    return replace(spec(), run=Run(("./program",), Ports(*ports) if ports else None, ports2=second and Ports(*second)))


def test_eviction_asks_for_no_port_that_is_not_agreed_on() -> None:
    """At 859ecac a `deploy --evict` was refused where the second ports had moved in teal.toml."""
    asked = Deploy(with_second((9001, 9002), (9083, 9084)), Manifest(digest_of(()), ()), Origin(), "0" * 32, evict=True)
    mine = replace(agreed(), ports2=Ports(9081, 9082))
    assert len(agreement.differences(asked.spec, mine, "blue")) == 2
    assert agreement.differences(deploys._on_agreed_ports(asked).spec, mine, "blue") == {}


def test_second_ports_stay_agreed_and_only_the_color_that_is_started_moves(host: HostPaths) -> None:
    """What is live keeps the number that it was started with, and so does a release of before."""
    wanted = agreement.propose(host, with_second((8081, 8082), (9081, 9082)), None)
    assert wanted.every_port == (8081, 8082, 9081, 9082)
    keep(host, wanted)
    assert agreement.load(host.app("shop")) == wanted
    assert agreement.propose(host, spec(), "green").ports2 == Ports(9081, 9082)
    assert agreement.propose(host, with_second(None, (9091, 9092)), "green").ports2 == Ports(9081, 9092)


def test_second_port_that_setup_has_not_agreed_on_is_a_difference(host: HostPaths) -> None:
    asked = with_second(None, (9081, 9082))
    assert agreement.differences(asked, agreed(), "blue") == {
        "[run] ports2.blue": "agreed none, in teal.toml 9081",
    }
    assert agreement.differences(asked, replace(agreed(), ports2=Ports(9081, 9092)), "blue") == {}


@pytest.mark.parametrize(
    ("ports", "second", "complaint"),
    [
        ((9001, 9002), (9003, 9001), r"port 9001 is both green of \[run\] ports2 and blue"),
        ((9001, 9002), (28080, 9003), r"port 28080 is both blue of \[run\] ports2 and http_port"),
        ((9001, 9002), (8082, 9003), "port 8082 of blue belongs to the app other"),
        ((9003, 9091), None, "port 9091 of green belongs to the app other"),
    ],
)
def test_second_port_is_refused_when_taken(
    host: HostPaths, ports: tuple[int, int], second: tuple[int, int] | None, complaint: str
) -> None:
    keep(host, replace(agreed("other"), ports2=Ports(9091, 9092)))
    with pytest.raises(BadRequest, match=complaint):
        agreement.propose(host, with_second(ports, second), None)


def test_pair_that_is_given_out_has_no_second_port(host: HostPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teal_host.ground.sockets.listeners", list)
    assert agreement.propose(host, with_second(None, (8082, 8083)), None).ports == Ports(8085, 8086)


@given(st.lists(values.APPS, min_size=2, max_size=8, unique=True), st.data())
@settings(max_examples=12)
def test_two_apps_never_share_a_port(
    tmp_path_factory: pytest.TempPathFactory, apps: list[str], data: st.DataObject
) -> None:
    host = HostPaths(tmp_path_factory.mktemp("host"))
    near = st.integers(8081, 8095)
    taken: set[int] = set()
    for app in apps:
        wanted = data.draw(st.none() | st.tuples(near, near).filter(lambda pair: pair[0] != pair[1]))
        try:
            proposed = agreement.propose(host, spec(app, wanted), "blue")
        except BadRequest:
            assume(wanted is not None)
            assert set(wanted or ()) & taken
            continue
        keep(host, proposed)
        pair = {proposed.ports.blue, proposed.ports.green}
        assert len(pair) == 2
        assert not pair & taken
        taken |= pair


def test_apps_that_are_new_at_the_same_moment_never_share_a_port(host: HostPaths) -> None:
    names = [f"app{number}" for number in range(8)]
    seams: Any = None
    given_ports: dict[str, Ports] = {}
    begin = threading.Barrier(len(names))

    def reserve(name: str) -> None:
        app: App = Host(host, seams, seams, LocalProvisioning(host, seams), lambda message: None).app(name)
        entries = (Entry("program", "file", 0, "a" * 64),)
        request = Deploy(spec(name), Manifest(digest_of(entries), entries), Origin(), "0" * 32)
        begin.wait(60)
        given_ports[name] = ports.reserve(app, request.spec, Scene(app.paths, Slots(None, {}), [], [], None)).ports

    threads = [threading.Thread(target=reserve, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [pair.of(color) for pair in given_ports.values() for color in ("blue", "green")]
    assert len(set(every)) == len(every) == 16
    assert {name: cast(Agreement, agreement.load(host.app(name))).ports for name in names} == given_ports


def test_port_is_not_given_out_when_a_program_listens_on_it(host: HostPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_) = free_ports(1)
    monkeypatch.setattr(agreement, "_FIRST_PORT", first)
    monkeypatch.setattr(agreement, "_LAST_PORT", 30_000)
    with socket.create_server(("127.0.0.1", first + 1)):
        ports = agreement.propose(host, spec(), "blue").ports
    assert {ports.blue, ports.green}.isdisjoint({first, first + 1})
    assert ports.green == ports.blue + 1


def test_port_is_not_given_out_when_it_is_the_http_port_of_a_site(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = free_ports(1)
    monkeypatch.setattr(agreement, "_FIRST_PORT", first)
    monkeypatch.setattr(agreement, "_LAST_PORT", 30_000)
    keep(host, agreed("other", (9001, 9002), Site((), first + 2)))
    ports = agreement.propose(host, spec(site=Site((), first)), "blue").ports
    assert {ports.blue, ports.green}.isdisjoint({first, first + 2})


def test_proposal_is_refused_when_no_two_ports_are_free(host: HostPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_FIRST_PORT", 8081)
    monkeypatch.setattr(agreement, "_LAST_PORT", 8083)
    keep(host, agreed("other", (8081, 8082)))
    with pytest.raises(BadRequest, match="no two free ports"):
        agreement.propose(host, spec(), "blue")


def test_neighbors_are_all_other_apps_with_their_own_live_links(host: HostPaths) -> None:
    keep(host, agreed("a", (1025, 1026)), agreed("b", (1027, 1028)), agreed("shop"))
    assert [(route.app, route.live) for route in agreement.neighbors(host, "shop")] == [
        ("a", host.app("a").live),
        ("b", host.app("b").live),
    ]


def test_proposal_needs_a_human_when_the_agreement_of_a_neighbor_is_unreadable(host: HostPaths) -> None:
    """Without a human, Teal would give its ports and names to another app."""
    keep(host, agreed("other"))
    host.app("other").agreed.write_text("{")
    with pytest.raises(NeedsHuman, match=r"other/app\.json"):
        agreement.propose(host, spec(), "blue")


def test_every_app_has_a_token_of_its_own(host: HostPaths) -> None:
    tokens = {agreement.propose(host, spec(f"app{number}"), "blue").token for number in range(20)}
    assert len(tokens) == 20
    assert all(len(token) == 32 for token in tokens)


NAMED = Site(("shop.example.com",), 80)
FILES = Https("files", cert="/etc/ssl/shop.pem", key="/etc/ssl/shop.key")


def test_agreement_of_before_has_no_https_and_a_deploy_keeps_it_so_until_setup(host: HostPaths) -> None:
    keep(host, agreed())
    path = host.app("shop").agreed
    before = json.loads(path.read_text())
    del before["https"]
    path.write_text(json.dumps(before))
    loaded = agreement.load(host.app("shop"))
    assert loaded is not None
    assert (loaded.https, loaded.route(host.app("shop")).tls) == (NO_HTTPS, None)
    on_server = replace(loaded, user="teal-shop", site=spec().site)
    assert agreement.differences(spec(), on_server, "blue") == {}


def test_agreement_with_https_differs_from_a_teal_toml_that_no_longer_says_it(host: HostPaths) -> None:
    """Else the next setup, made for another reason, takes HTTPS off while browsers hold to it."""
    on_server = replace(agreed(), user="teal-shop", site=spec().site, https=replace(FILES, hsts_days=30))
    assert "[https] certificate" in agreement.differences(spec(), on_server, "blue")


def test_agreement_differs_by_each_key_of_https_once_teal_toml_says_one(host: HostPaths) -> None:
    on_server = replace(agreed(), user="teal-shop", site=NAMED, https=FILES)
    same = replace(spec(), site=NAMED, https=FILES)
    assert agreement.differences(same, on_server, "blue") == {}
    other = replace(same, https=replace(FILES, hsts_days=30, redirect=False))
    assert list(agreement.differences(other, on_server, "blue")) == ["[https] redirect", "[https] hsts_days"]
    none = replace(same, https=Https("none", hsts_days=9))
    assert "[https] certificate" in agreement.differences(none, on_server, "blue")
    assert agreement.differences(none, replace(on_server, https=NO_HTTPS), "blue") == {}


def test_app_of_this_machine_stays_on_http_whatever_https_says(host: HostPaths) -> None:
    proposed = agreement.propose(host, replace(spec(), site=NAMED, https=FILES), None)
    assert proposed.https == NO_HTTPS


@pytest.mark.parametrize(("names", "redirects"), [((), ("old.test",)), (("old.test",), ()), (("*.old.test",), ())])
def test_name_of_another_app_is_not_free_whether_it_serves_or_redirects(
    host: HostPaths, names: "tuple[str, ...]", redirects: "tuple[str, ...]"
) -> None:
    other = Site(("first.test", *names), 8080, redirects)
    keep(host, agreement.propose(host, replace(spec(), app="other", site=other), None))
    taken = [*names, *redirects][0]
    site = Site(("mine.test",), 8080, (taken,))
    with pytest.raises(BadRequest, match="is served for the app other already"):
        agreement.propose(host, replace(spec(), site=site), None)


def test_https_by_directives_stays_until_teal_toml_has_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teal_host.wire.app._ORDERED_BY_DEFAULT", True)
    site = Site(("shop.example.com",), 80)
    by_hand = ProxyRules(directives=("listen 443 ssl;", "ssl_certificate /etc/ssl/shop.pem;"))
    usual = replace(spec(), site=site)
    assert agreement.decided(usual, False).certificate == "letsencrypt"
    assert agreement.decided(replace(usual, proxy=by_hand), False) == NO_HTTPS
    assert agreement.decided(replace(usual, proxy=by_hand, https=FILES), False) == FILES
    assert agreement.decided(usual, True) == NO_HTTPS
    for name in ("shop.test", "shop.local", "shop.internal", "shop"):
        assert agreement.decided(replace(usual, site=Site((name,), 80)), False) == NO_HTTPS
        with_directory = replace(usual, site=Site((name,), 80), https=Https(directory="https://ca.test/dir"))
        assert agreement.decided(with_directory, False).certificate == "letsencrypt"
    assert agreement.decided(replace(usual, site=Site(("shop.example.com",), 8080)), False) == NO_HTTPS
