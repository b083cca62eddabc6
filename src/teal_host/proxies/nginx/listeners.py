"""Where nginx listens: what a site's file says, where Teal reaches the site, and what the running nginx holds."""

from typing import List, Optional, Sequence, Set, Tuple

from teal_host.ground import sockets
from teal_host.ground.errors import BadRequest
from teal_host.ground.remedies import name_app
from teal_host.proxies.nginx.parts.tls import HTTP2_OWN_LINE
from teal_host.proxies.nginx.sites import ANY, ANY_IPV6, Listen, Server
from teal_host.state.route import Route
from teal_host.wire.app import HTTPS_PORT, Site

LOOPBACK = "127.0.0.1"


def address(site: Site) -> Tuple[str, int]:
    """Where Teal's own requests reach the site."""
    return (LOOPBACK, site.http_port)


def on_loopback(port: int) -> str:
    return f"{LOOPBACK}:{port}"


def url(route: Route, host: str) -> str:
    """`host` stands for a site without a name. HTTPS once the certificate covers the first name."""
    site, tls = route.site, route.tls
    if tls and (tls.covered / site.host).exists():
        return f"https://{site.host}/"
    port = "" if site.http_port == 80 else f":{site.http_port}"
    return f"http://{site.domains[0] if site.domains else host}{port}/"


def is_quiet(master: Optional[int], site: Site) -> bool:
    """Is it certain that no client is connected to this nginx, at any address and port where nginx listens?

    A request of the site may come in by a listener that only its own directives know, such as one for HTTPS.
    """
    if master is None:  # workers of a killed master go on; their sockets are known by the site's ports alone
        return not any(map(sockets.has_connections, (site.http_port, HTTPS_PORT)))
    return not sockets.listeners_of(master).have_connections()


def check_is_free(listens: Sequence[str], nginx_sockets: Set[int]) -> None:
    """Raises BadRequest if nginx could not listen here because of a socket that is not nginx's own."""
    for listen in listens:
        host, _, port = listen.rpartition(":")
        for socket in sockets.conflicting_listeners(host.strip("[]") or "0.0.0.0", int(port)):  # noqa: S104
            if socket.inode not in nginx_sockets:
                holder = sockets.describe_holder(socket.inode)
                if int(port) == HTTPS_PORT:
                    raise BadRequest(f'port {port} is taken by {holder}; end it, or say [https] certificate = "none"')
                raise BadRequest(f"port {port} is taken by {holder}", hint=_other_port())


def is_taken(port: int, nginx_sockets: Set[int]) -> bool:
    """Does somebody else than nginx listen there?"""
    return any(socket.port == port and socket.inode not in nginx_sockets for socket in sockets.listeners())


def _other_port() -> str:
    """A port where nobody listens, and that no color gets by itself."""
    taken = {socket.port for socket in sockets.listeners()}
    port = next(port for port in (*range(8080, 8000, -1), 0) if port not in taken)
    return f"choose another: [server] http_port = {port}"


def of_new_nginx(port: int) -> List[str]:
    """What the file of the first site of a machine says."""
    return [listen for listen in beside((), port) if _is_usable(listen)]


def of_site(foreign: Sequence[Server], port: int, named: bool) -> List[str]:
    """What the site's file says beside these sites. One of the addresses is the one that Teal reaches.

    Raises BadRequest if other sites have every address: there is none for a site that answers for any name.
    """
    usable = [listen for listen in beside(foreign, port, named) if _is_usable(listen)]
    takes_both = any(listen.takes_ipv4 for site in foreign for listen in site.on(port))
    if not (takes_both or any("[" not in listen for listen in usable)):
        holder = next(site for site in foreign if site.on(port))
        raise BadRequest(
            f"every IPv4 address of port {port} belongs to sites such as {holder.file}:{holder.line}",
            hint=name_app("example.com"),
        )
    is_reached = takes_both or str(port) in usable or on_loopback(port) in usable
    return usable if is_reached else [*usable, on_loopback(port)]


def for_tls(foreign: Sequence[Server], values: Sequence[str], version: Tuple[int, ...]) -> List[str]:
    """As the file says it. Until nginx 1.25.1 `http2` holds for all sites of an address, so others' choice stays."""
    by_value = {listen.value: listen for site in foreign for listen in site.on(HTTPS_PORT)}
    spoken = {listen.value for site in foreign for listen in site.on(HTTPS_PORT) if listen.http2}
    has_word = version < HTTP2_OWN_LINE
    return [
        f"{value} ssl{' http2' if has_word and (value not in by_value or value in spoken) else ''}" for value in values
    ]


def beside(sites: Sequence[Server], port: int, named: bool = True) -> Tuple[str, ...]:
    """On what a site must listen to get the requests of this port beside these sites.

    nginx asks only the most exact address: a foreign `listen 203.0.113.9:80` hides every `listen 80` there. A site with
    names joins that address. A site without names would take the address's unknown names, so it stays away. No wildcard
    stands where there are only exact addresses, nor where an IPv6 socket takes IPv4 too: `nginx -t` accepts it, but the
    reload cannot bind it.
    """
    by_key = {listen.key: listen for site in sites for listen in site.on(port)}
    dual = any(listen.takes_ipv4 for listen in by_key.values())
    values: List[str] = []
    for wildcard in (ANY, ANY_IPV6):
        family = [listen for listen in by_key.values() if listen.ipv6 == (wildcard == ANY_IPV6)]
        exact = sorted(listen.value for listen in family if listen.address != wildcard)
        if (not exact or len(exact) < len(family)) and not (dual and wildcard == ANY):
            values.append(Listen(wildcard, port).value)
        values += exact if named else []
    return tuple(values)


def _is_usable(listen: str) -> bool:
    return sockets.has_ipv6() or "[" not in listen
