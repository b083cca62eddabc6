"""What setup must know of a machine's nginx configuration: which site serves what, and where nginx reads a new file."""

import posixpath
import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host.proxies.nginx.tree import Directive, Tree, is_pattern, matches
from teal_host.wire.site_grammar import ANY_LABEL
from teal_host.wire.values import dataclass

ANY, ANY_IPV6 = "*", "[::]"
_CATCH_ALL = {"", "_", "*"}


@dataclass(frozen=True)
class Listen:
    """One address and port. `address` is `*`, an IPv4 or `[IPv6]` address, a host name, or `unix:PATH` (port 0).

    `takes_ipv4`: with `ipv6only=off`, beside which nobody can listen on the same port of `*`. `http2`: spelled here.
    """

    address: str
    port: int
    default: bool = False
    takes_ipv4: bool = False
    http2: bool = False

    @property
    def ipv6(self) -> bool:
        return self.address.startswith("[")

    @property
    def value(self) -> str:
        return str(self.port) if self.address == ANY else f"{self.address}:{self.port}"

    @property
    def key(self) -> Tuple[str, int]:
        return self.address, self.port


@dataclass(frozen=True)
class Server:
    """One server block of http. A block without server_name has the name "", which is nginx's own rule."""

    file: str
    line: int
    listens: Tuple[Listen, ...]
    names: Tuple[str, ...]

    def on(self, port: int) -> Tuple[Listen, ...]:
        return tuple(listen for listen in self.listens if listen.port == port)

    @property
    def catches_all(self) -> bool:
        return set(self.names) <= _CATCH_ALL


@dataclass(frozen=True)
class IncludePoint:
    """A file that nginx would read inside `http`, because the directive `include` names the `pattern`."""

    path: str
    pattern: str
    include: Directive


def servers(tree: Tree) -> Tuple[Server, ...]:
    """Every site in nginx's order. If nothing else names a port's default site, the first site is the default."""
    return tuple(_server(block) for block in tree.http() if block.name == "server")


def default_sites(sites: Sequence[Server], port: int) -> Tuple[Server, ...]:
    """The sites that are meant to answer for any name on this port: marked `default_server`, or without a name.

    The marked sites come first. Only beside these nginx refuses another `default_server`.
    """
    here = [site for site in sites if site.on(port)]
    marked = [site for site in here if any(listen.default for listen in site.on(port))]
    return (*marked, *(site for site in here if site.catches_all and site not in marked))


def serving(sites: Sequence[Server], domain: str, port: int) -> Tuple[Server, ...]:
    """The sites that serve exactly this name on this port. nginx prefers an exact name to a wildcard or pattern."""
    names = {domain, f".{domain.replace(ANY_LABEL, '')}"}
    return tuple(site for site in sites if site.on(port) and names & {name.lower() for name in site.names})


def include_points(tree: Tree, stem: str) -> Tuple[IncludePoint, ...]:
    """Where nginx would read a file `<stem>.conf` inside http, or `<stem>` if only that fits; the best first.

    Patterns such as `conf.d/*.conf` come before others, such as Debian's `sites-enabled/*`.
    """
    points: List[IncludePoint] = []
    for directive in tree.http():
        path = _path_for(tree, directive, stem)
        if path and path not in [point.path for point in points]:
            points.append(IncludePoint(path, tree.full(directive.args[0]), directive))
    return tuple(sorted(points, key=lambda point: not point.pattern.endswith(".conf")))


def overtaken(tree: Tree, point: IncludePoint, port: int) -> Tuple[Server, ...]:
    """Sites that get unknown names on this port only because nginx reads them first. A file here would take these.

    Where the present file at this place gets those names, no other site has them.
    """
    first: Dict[Tuple[str, int], Tuple[bool, Server]] = {}
    marked = set()
    before = True
    for block in (block for http in tree.top("http") for block in _in_order(http.block, point)):
        if block is None:
            before = False
            continue
        site = _server(block)
        for listen in site.on(port):
            first.setdefault(listen.key, (before, site))
            marked |= {listen.key} if listen.default else set()
    lost = (site for key, (was_before, site) in first.items() if key not in marked and not was_before)
    return tuple(dict.fromkeys(lost))


def _server(block: Directive) -> Server:
    listens = tuple(listen for directive in block.all("listen") for listen in _listens(directive))
    names = tuple(name for directive in block.all("server_name") for name in directive.args)
    return Server(block.file, block.line, listens or (Listen(ANY, 80),), names or ("",))


def _listens(directive: Directive) -> Iterator[Listen]:
    """One directive can name a range of ports."""
    address, first, last = _address(directive.args[0] if directive.args else "")
    default = "default_server" in directive.args or "default" in directive.args
    both = "ipv6only=off" in directive.args and address.startswith("[")
    for port in range(first, last + 1):
        yield Listen(address, port, default, both, "http2" in directive.args)


def _address(value: str) -> Tuple[str, int, int]:
    if value.startswith("unix:"):
        return value, 0, 0
    if value.startswith("["):
        address, _, ports = value.partition("]")
        address, ports = f"{address.lower()}]", ports.lstrip(":")
    elif ":" in value:
        address, _, ports = value.rpartition(":")
    else:
        address, ports = ("", value) if re.fullmatch("[0-9-]*[0-9][0-9-]*", value) else (value, "")
    first, last = _range(ports)
    return ("*" if address in ("", ANY, "0.0.0.0") else address), first, last  # noqa: S104


def _range(ports: str) -> Tuple[int, int]:
    """`80`, `8080-8085`, or nothing, which is 80."""
    numbers = [int(part) for part in ports.split("-") if re.fullmatch("[0-9]{1,5}", part) and int(part) <= 65535]
    return (numbers[0], numbers[-1]) if numbers else (80, 80)


def _path_for(tree: Tree, directive: Directive, stem: str) -> Optional[str]:
    if directive.name != "include" or len(directive.args) != 1:
        return None
    pattern = tree.full(directive.args[0])
    directory, last = posixpath.split(pattern)
    if is_pattern(directory) or not is_pattern(last):
        return None
    paths = (posixpath.join(directory, name) for name in (f"{stem}.conf", stem))
    return next((path for path in paths if matches(pattern, path)), None)


def _in_order(directives: Sequence[Directive], point: IncludePoint) -> Iterator[Optional[Directive]]:
    """Each server block, and None where nginx would read the file: among the files of its include, by name."""
    for directive in directives:
        if directive.name == "server":
            yield directive
        is_pending = directive == point.include
        for inner in directive.block if directive.name == "include" else ():
            if is_pending and inner.file.encode() > point.path.encode():
                is_pending = False
                yield None
            yield from _in_order((inner,), point)
        if is_pending:
            yield None
