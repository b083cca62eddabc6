"""Does the URL that Teal prints lead to the app, asked from here? Only the client sees that. At worst a warning."""

import ipaddress
from collections.abc import Iterator

from teal.config.read import ConfigFile
from teal.ground.dns import public, records
from teal.ground.visitor import Arrival, Event, visit
from teal_host.wire.reports import Entrance, Finding

_FIREWALL = "open TCP port {port} in the firewall of the server and in that of its provider"
_TEXTS: dict[Event, tuple[str, str]] = {
    "other site": (
        "another site or server answers on port {port} of {at}",
        "teal doctor; a cache in front, or a [proxy] directive that drops headers, looks the same from here",
    ),
    "other host": ("port {port} of {at} redirects to another host", "teal doctor; all is well if that host is yours"),
    "late name server": ("no name server answered in time for {host}", "is this machine online? then: teal doctor"),
    "no name": ("{host} leads nowhere yet", ""),
    "refused": (
        "port {port} of {at} refuses the connection: nothing listens there, or a firewall rejects it",
        _FIREWALL,
    ),
    "dropped": ("port {port} of {at} does not answer: a firewall drops it, or that machine is off", _FIREWALL),
    "no route": (
        "there is no way to port {port} of {at}: a firewall rejects it, or this machine is offline",
        _FIREWALL,
    ),
    "no answer": ("port {port} of {at} takes the connection and does not answer in time", "teal doctor; teal logs"),
    "not HTTP": (
        "port {port} of {at} closes the connection, or what it answers is not HTTP",
        "teal doctor; does another program listen there?",
    ),
    "certificate": ("port {port} of {at} has no valid certificate for {host}", "renew the certificate"),
}
_OWN_NETWORK = (
    "{at} may be known in the server's own network only: with a name, Teal prints that: [server] domains; "
    f"else {_FIREWALL}"
)


def check_entrance(file: ConfigFile, entrance: Entrance | None) -> Iterator[Finding]:
    """One finding, after one visit; none where nobody is expected from outside."""
    if entrance and _is_for_visitors(file, entrance):
        yield judge(entrance, visit(entrance))


def _is_for_visitors(file: ConfigFile, entrance: Entrance) -> bool:
    """A server's word does not choose whom this machine asks: the name and the port are those of teal.toml.

    Of an app without a name the server tells an address. Loopback and link-local addresses are refused, however
    they are written.
    """
    server = file.config.server
    names = {domain.lower() for domain in server.domains}
    port = "" if server.site.http_port == 80 else f":{server.site.http_port}"
    host = entrance.url.removeprefix("http://").removesuffix(f"{port}/")
    if server.target == "local" or entrance.url != f"http://{host}{port}/" or host.endswith("localhost"):
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
    message, hint = _TEXTS[arrival.event]
    names = {"host": host, "port": arrival.port, "at": arrival.address or host}
    hint = _address_hint(entrance, arrival, host) or hint
    text = f"{entrance.url} does not lead visitors to the app: {message.format(**names)}"
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
