"""Does the URL that Teal prints lead to the app, asked from here? Only the client sees that. At worst a warning."""

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from teal.config.read import ConfigFile
from teal.ground.dns import public, records
from teal.ground.visitor import Arrival, Event, visit
from teal_host.wire.reports import Entrance, Finding
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class _Case:
    """What a visitor meets, and what to do about it. In doctor this stands beside what the server side says."""

    message: str
    hint: str = ""


_FIREWALL = "open TCP port {port} in the firewall of the server and in that of its provider"
_CASES: dict[Event, _Case] = {
    "other site": _Case(
        "another site or server answers on port {port} of {at}",
        "is that a cache in front, or does a [proxy] directive drop headers? then all is well; "
        "else take that site away, or name another of [server] domains first",
    ),
    "other host": _Case(
        "port {port} of {at} redirects to another host",
        "is that host yours? then all is well; else take that redirect away",
    ),
    "late name server": _Case("no name server answered in time for {host}", "is this machine online?"),
    "no name": _Case("{host} leads nowhere yet"),
    "refused": _Case(
        "port {port} of {at} refuses the connection: nothing listens there, or a firewall rejects it", _FIREWALL
    ),
    "dropped": _Case("port {port} of {at} does not answer: a firewall drops it, or that machine is off", _FIREWALL),
    "no route": _Case(
        "there is no way to port {port} of {at}: a firewall rejects it, or this machine is offline", _FIREWALL
    ),
    "no answer": _Case(
        "port {port} of {at} takes the connection and does not answer in time", "does the program hang? teal logs"
    ),
    "not HTTP": _Case(
        "port {port} of {at} closes the connection, or what it answers is not HTTP",
        "does another program listen there?",
    ),
    "certificate": _Case("port {port} of {at} has no valid certificate for {host}", "renew the certificate"),
}
_OWN_NETWORK = (
    "{at} may be known in the server's own network only: with a name, Teal prints that: [server] domains; "
    f"else {_FIREWALL}"
)


def check_entrance(file: ConfigFile, entrance: Entrance | None, nginx_runs: bool = True) -> Iterator[Finding]:
    """One finding, after one visit; none where nobody is expected from outside. No firewall is suspected of what an
    nginx that does not run explains.
    """
    if entrance and _is_for_visitors(file, entrance):
        finding = judge(entrance, visit(entrance))
        yield finding if nginx_runs or "firewall" not in finding.hint else replace(finding, hint="")


def _is_for_visitors(file: ConfigFile, entrance: Entrance) -> bool:
    """A server's word does not choose whom this machine asks: the name and the port are those of teal.toml.

    Of an app without a name the server tells an address. Loopback and link-local addresses are refused, however
    they are written.
    """
    server = file.config.server
    names = {domain.lower() for domain in server.domains}
    port = "" if server.site.http_port == 80 else f":{server.site.http_port}"
    secure = entrance.url.startswith("https://")
    host = entrance.url.removeprefix("https://" if secure else "http://").removesuffix("/" if secure else f"{port}/")
    whole = f"https://{host}/" if secure else f"http://{host}{port}/"
    if server.target == "local" or entrance.url != whole or host.endswith("localhost"):
        return False
    return host.lower() in names if names else _may_be_a_server(host)


def _may_be_a_server(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not (special or address.is_reserved)


def judge(entrance: Entrance, arrival: Arrival) -> Finding:
    """What the visit means for visitors, and what to do."""
    if arrival.event == "own site":
        return Finding("url", "ok", f"{entrance.url} is answered, asked from here")
    host = entrance.url.split("/")[2].rpartition(":")[0] or entrance.url.split("/")[2]
    case = _CASES[arrival.event]
    names = {"host": host, "port": arrival.port, "at": arrival.address or host}
    hint = _address_hint(entrance, arrival, host) or case.hint
    text = f"{entrance.url} does not lead visitors to the app: {case.message.format(**names)}"
    return Finding("url", "warning", text, hint.format(**names))


def _address_hint(entrance: Entrance, arrival: Arrival, host: str) -> str:
    """If the URL's address is the likely cause: the record to make, or that the address is a private one."""
    own = public(entrance.addresses)
    if arrival.event == "no name":
        return f"add to its DNS: {records(host, own)}"
    if host in arrival.addresses:  # the URL has no name
        private = ipaddress.ip_address(host).is_private and arrival.event in ("dropped", "no route")
        return _OWN_NETWORK if private else ""
    if own and arrival.addresses and not set(arrival.addresses) & set(entrance.addresses):
        return f"{host} leads to {', '.join(arrival.addresses)}; without a CDN there, make it {records(host, own)}"
    return ""
