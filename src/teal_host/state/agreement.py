"""What an app and this host have agreed: its names and ports. Kept apart from releases, because it outlives them."""

import hashlib
import json
import re
import secrets
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from teal_host.ground import sockets
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.ground.remedies import name_app
from teal_host.state import key_limits
from teal_host.state.disk_format import DiskFormat, Unreadable
from teal_host.state.key_limits import KeyLimits
from teal_host.state.route import Route, Tls
from teal_host.wire import typed
from teal_host.wire.app import NO_HTTPS, AppSpec, Https, Ports, ProxyRules, Sandbox, Site, decided_https
from teal_host.wire.grammar import COLORS, AppName, Color, Token
from teal_host.wire.values import dataclass

# Other ports than those that the colors have would leave nginx without a program to ask.
_LOST_ON_SERVER = "restore it; or remove it, write the ports of its nginx file into [run] ports, then teal setup"
_FIRST_PORT, _LAST_PORT = 8081, 9999
_SHOWN_CHARS = 300  # of a value that is not as agreed
_LONGEST_SOCKET = 107  # bytes; the kernel's structure for an address holds so many (unix(7))
_PLAIN_SOCKET = re.compile(r"[A-Za-z0-9._/@%+=~-]+")  # nginx ends a path at a colon, and a log has spaces between words


@dataclass(frozen=True)
class Agreement:
    """`token` is a word that only Teal and this app's nginx file know, for the probe after a switch.

    `user`: whom the program runs as; None locally, where it is who deploys. `fallback`: nginx's file has the way to the
    standby; the file of an agreement of before has none, and stays as it is until setup. `keys`: what a deploy key's
    deploy may ask for; None in an agreement of before, which set no limit. `sockets`: nginx's file has the way to the
    colors' sockets, beside that to their ports; once agreed on it stays, for a release of before. So do `ports2`, on
    which nginx asks nothing. `https`: with the certificate that was decided; an agreement of before has none.
    """

    app: AppName
    site: Site
    ports: Ports
    token: Token
    proxy: ProxyRules = field(default_factory=ProxyRules)
    sandbox: Sandbox = field(default_factory=Sandbox)
    user: Optional[str] = None
    fallback: bool = False
    keys: Optional[KeyLimits] = None
    sockets: bool = False
    ports2: Optional[Ports] = None
    https: Https = NO_HTTPS

    @property
    def pairs(self) -> Tuple[Ports, ...]:
        return (self.ports, self.ports2) if self.ports2 else (self.ports,)

    @property
    def every_port(self) -> Tuple[int, ...]:
        return tuple(port for pair in self.pairs for port in pair.by_color.values())

    @property
    def scheme(self) -> str:
        """How visitors ask, as far as the app can tell: whoever is trusted in front of nginx speaks HTTPS with them."""
        return "https" if self.https != NO_HTTPS or self.proxy.trusted else "http"

    def route(self, paths: AppPaths) -> Route:
        fallback = paths.fallback if self.fallback else None
        sockets = paths.sockets if self.sockets else None
        tls = self._tls(paths)
        return Route(self.app, self.site, self.ports, paths.live, self.token, self.proxy, fallback, sockets, tls)

    def _tls(self, paths: AppPaths) -> Optional[Tls]:
        https = self.https
        if https == NO_HTTPS:
            return None
        return Tls(paths.tls, paths.challenges, https.redirect, https.hsts_days, https.http3)


# Counts up with the format of any file of the app: see `renew_format`.
_FORMAT, _NEWS, _KNOWN = DiskFormat(Agreement, 3), 3, 2


def load(paths: AppPaths) -> Optional[Agreement]:
    """What was agreed, or None for an app that is new here. Raises Unreadable."""
    try:
        return _FORMAT.read(paths.agreed)
    except FileNotFoundError:
        return None
    except Unreadable as error:
        if not error.newer:
            error.hint = _LOST_ON_SERVER if paths.root == Path("/") else "restore it, or remove it and deploy again"
        raise


def save(paths: AppPaths, agreed: Agreement) -> None:
    _FORMAT.write(paths.agreed, agreed, _number(paths, agreed, False))


def renew_format(paths: AppPaths, on_socket: bool = False) -> None:
    """Before a command changes anything: an older Teal stops at this file, so from now on it is of this Teal's format.

    `on_socket`: a release is to listen on one. Raises Unreadable, so that this Teal stops at a newer one's.
    """
    agreed = load(paths)
    number = _number(paths, agreed, on_socket) if agreed else 0
    if agreed and _FORMAT.number_of(paths.agreed) < number:
        _FORMAT.write(paths.agreed, agreed, number)


def _number(paths: AppPaths, agreed: Agreement, on_socket: bool) -> int:
    """An older Teal would ask the port of a color that listens on a socket, forget a second port, and write a site
    without HTTPS and redirects. Locally every agreement has the way to sockets.
    """
    has_sockets = on_socket or (agreed.sockets and agreed.user is not None)
    has_https = agreed.https != NO_HTTPS or agreed.site.redirects or agreed.proxy.trusted
    is_news = has_sockets or agreed.ports2 or has_https
    return _NEWS if is_news else max(_KNOWN, _FORMAT.number_of(paths.agreed))


def check_not_newer(paths: AppPaths) -> None:
    """Raises Unreadable where a newer Teal wrote it: this Teal may not know all that belongs to the app."""
    try:
        load(paths)
    except Unreadable as error:
        if error.newer:
            raise


def propose(host: HostPaths, spec: AppSpec, moving: Optional[Color]) -> Agreement:
    """What this deploy wants, if it fits beside the others. Raises BadRequest, naming the app in the way.

    Only the color that is about to be started may move to another port; the other one is where it is. None: both may.
    """
    mine = load(host.app(spec.app))
    others = list(_others(host, spec.app))
    _check_names_are_free(host, spec, others)
    ports, ports2 = _pairs(spec, mine, others, moving)
    token, user = (mine.token, mine.user) if mine else (secrets.token_hex(16), None)
    on_socket = spec.run.on_socket or (mine is not None and mine.sockets)
    refusal = socket_refusal(host.app(spec.app))
    if refusal and spec.run.on_socket:
        raise refusal
    agreed = Agreement(spec.app, spec.site, ports, token, spec.proxy, spec.sandbox, user, fallback=True, ports2=ports2)
    https = decided(spec, _is_local(host))
    return replace(agreed, keys=key_limits.of(spec), sockets=on_socket, https=https)


def decided(spec: AppSpec, is_local: bool) -> Https:
    """HTTPS by [proxy] directives stays as it is until teal.toml has [https]."""
    by_hand = any(line.lstrip().startswith("ssl_certificate ") for line in spec.proxy.directives)
    return NO_HTTPS if by_hand and spec.https == Https() else decided_https(spec.https, spec.site, is_local)


def differences(spec: AppSpec, mine: Agreement, color: Color) -> Dict[str, str]:
    """Each key of teal.toml that is not as agreed, with both values. `color`: the one that a deploy would start."""
    sections: Dict[str, Tuple[Any, Any]] = {"server": (mine.site, spec.site), "proxy": (mine.proxy, spec.proxy)}
    sections["sandbox"] = mine.sandbox, spec.sandbox
    https = decided(spec, mine.user is None)
    if spec.https != Https() or mine.https not in (NO_HTTPS, https):  # an agreement without HTTPS waits for setup
        sections["https"] = mine.https, https
    changed = {}
    for section, (was, now) in sections.items():
        agreed, wanted = typed.encode(was), typed.encode(now)
        changed.update(
            {f"[{section}] {key}": (agreed[key], wanted[key]) for key in agreed if agreed[key] != wanted[key]}
        )
    for key, agreed_on, named in (("ports", mine.ports, spec.run.ports), ("ports2", mine.ports2, spec.run.ports2)):
        was_port = agreed_on.of(color) if agreed_on else None
        if named and named.of(color) != was_port:
            changed[f"[run] {key}.{color}"] = (was_port, named.of(color))
    if spec.run.on_socket and not mine.sockets:
        changed["[run] command"] = ("{port}", "{socket}")
    return {name: f"agreed {_shown(was)}, in teal.toml {_shown(now)}" for name, (was, now) in changed.items()}


def _shown(value: Any) -> str:
    """As in teal.toml, but not more of it than a line."""
    text = "none" if value in (None, []) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def socket_refusal(paths: AppPaths) -> Optional[BadRequest]:
    """Why the path of a color's socket is one that the kernel or nginx cannot take."""
    longest = max((str(color.socket) for color in paths.colors), key=len)
    too_long = len(longest.encode()) > _LONGEST_SOCKET
    if not too_long and _PLAIN_SOCKET.fullmatch(longest):
        return None
    why = f"is longer than {_LONGEST_SOCKET} bytes" if too_long else "has a character that nginx cannot take there"
    hint = "set XDG_STATE_HOME to a shorter, plainer directory, or use {port} in [run] command"
    return BadRequest(f"the path of the socket {why}: {longest}", hint=hint)


def with_route_of(agreed: Agreement, other: Agreement) -> Agreement:
    """The same with the names and rules of another: what changes only with the route."""
    changed = replace(agreed, site=other.site, proxy=other.proxy, https=other.https)
    return replace(changed, fallback=other.fallback, sockets=other.sockets)


def user_name(app: str) -> str:
    """The system user of an app's own. Linux allows 32 characters."""
    plain = f"teal-{app}"
    return plain if len(plain) <= 32 else f"teal-{app[:18]}-{hashlib.sha256(app.encode()).hexdigest()[:8]}"


def neighbors(host: HostPaths, app: str) -> List[Route]:
    """The routes of all other apps."""
    return [other.route(host.app(other.app)) for other in _others(host, app)]


def _others(host: HostPaths, app: str) -> Iterator[Agreement]:
    for paths in host.apps():
        agreed = load(paths) if paths.app != app else None
        if agreed:
            yield agreed


def _name_for(host: HostPaths, app: str) -> str:
    """A browser finds `.localhost` on its own machine only."""
    return f"{app}.localhost" if _is_local(host) else "example.com"


def _is_local(host: HostPaths) -> bool:
    return host.root != Path("/")


def _check_names_are_free(host: HostPaths, spec: AppSpec, others: List[Agreement]) -> None:
    site, has_https = spec.site, decided(spec, _is_local(host)) != NO_HTTPS
    for other in others:
        if other.site.http_port != site.http_port and not (has_https and other.https != NO_HTTPS):
            continue
        shared = sorted(set(site.names) & set(other.site.names))
        if shared:
            raise BadRequest(
                f'the domain "{shared[0]}" is served for the app {other.app} already',
                hint=f"choose another in [server] domains, or take the name out of the teal.toml of {other.app} first",
            )
        if not site.domains and not other.site.domains and other.site.http_port == site.http_port:
            raise BadRequest(
                f"the default site of port {site.http_port} is the app {other.app} already",
                hint=name_app(_name_for(host, spec.app)),
            )


def _pairs(
    spec: AppSpec, mine: Optional[Agreement], others: List[Agreement], moving: Optional[Color]
) -> Tuple[Ports, Optional[Ports]]:
    claimed = {port: other.app for other in others for port in other.every_port}
    if spec.site.http_port in claimed:
        raise BadRequest(f"http_port {spec.site.http_port} is a color's port of the app {claimed[spec.site.http_port]}")
    claimed.update((other.site.http_port, other.app) for other in others)
    wanted = spec.run.ports or (mine.ports if mine else _free_pair(claimed, others, spec))
    ports = _moved(wanted, mine.ports if mine else None, moving)
    mine2 = mine.ports2 if mine else None
    wanted2 = spec.run.ports2 or mine2
    ports2 = _moved(wanted2, mine2, moving) if wanted2 else None
    own = {spec.site.http_port: "http_port"}
    _claim(ports, "ports", own, claimed)
    if ports2:
        _claim(ports2, "ports2", own, claimed)
    return ports, ports2


def _claim(pair: Ports, key: str, own: Dict[int, str], claimed: Dict[int, str]) -> None:
    """Adds the pair to `own`: what each port of this app is for. Raises BadRequest."""
    for color, port in pair.by_color.items():
        name = color if key == "ports" else f"{color} of [run] {key}"
        if port in own:
            raise BadRequest(f"port {port} is both {name} and {own[port]}")
        if port in claimed:
            raise BadRequest(
                f"port {port} of {color} belongs to the app {claimed[port]} already",
                hint=f"choose others in [run] {key}, or leave them out",
            )
        own[port] = name


def _moved(wanted: Ports, mine: Optional[Ports], moving: Optional[Color]) -> Ports:
    if mine is None or moving is None:
        return wanted
    port = wanted.of(moving)
    ports = {**mine.by_color, moving: port}
    if len(set(ports.values())) < len(ports):
        raise BadRequest(f"port {port} is still in use by the other color", hint="move one color at a time")
    return Ports(**ports)


def _free_pair(claimed: "dict[int, str]", others: List[Agreement], spec: AppSpec) -> Ports:
    busy = {socket.port for socket in sockets.listeners()} | set(claimed) | {spec.site.http_port}
    busy |= {other.site.http_port for other in others} | set(
        spec.run.ports2.by_color.values() if spec.run.ports2 else ()
    )
    for first in range(_FIRST_PORT, _LAST_PORT, len(COLORS)):
        ports = range(first, first + len(COLORS))
        if busy.isdisjoint(ports):
            return Ports(**dict(zip(COLORS, ports)))
    raise BadRequest("no two free ports between 8081 and 9999", hint="name some in [run] ports")
