"""Questions to a machine's nginx configuration that setup decides on: who serves what, where a file would be read."""

import posixpath
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host.proxies.nginx.tree import Directive, Tree, is_pattern, matches
from teal_host.wire.values import dataclass

ANY, ANY_IPV6 = "*", "[::]"
_CATCH_ALL = {"", "_", "*"}


@dataclass(frozen=True)
class Listen:
    """One address and port. `address` is `*`, an IPv4 or `[IPv6]` address, a host name, or `unix:PATH` (port 0).

    `takes_ipv4`: written `ipv6only=off`, so that no other may listen on the same port of `*`.
    """

    address: str
    port: int
    default: bool = False
    takes_ipv4: bool = False

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
    """One server block of http. A block without server_name has the name "", as nginx says it."""

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
    """A file that nginx would read inside `http`, because of an include of the whole `pattern`."""

    path: str
    pattern: str
    include: Directive


def servers(tree: Tree) -> Tuple[Server, ...]:
    """Every site in nginx's order, which decides on the default site of a port when nothing else does."""
    return tuple(_server(one) for one in tree.http() if one.name == "server")


def default_sites(sites: Sequence[Server], port: int) -> Tuple[Server, ...]:
    """Those that are meant to answer for any name on this port: marked `default_server`, or with no name of their own.

    The marked ones come first; they, and only they, make nginx refuse another `default_server`.
    """
    here = [site for site in sites if site.on(port)]
    marked = [site for site in here if any(listen.default for listen in site.on(port))]
    return (*marked, *(site for site in here if site.catches_all and site not in marked))


def serving(sites: Sequence[Server], domain: str, port: int) -> Tuple[Server, ...]:
    """Those that serve exactly this name on this port; a wildcard or pattern gives way to an exact name."""
    wanted = {domain, f".{domain}"}
    return tuple(site for site in sites if site.on(port) and wanted & {name.lower() for name in site.names})


def include_points(tree: Tree, stem: str) -> Tuple[IncludePoint, ...]:
    """Where a file `<stem>.conf`, or `<stem>` where only that fits, would be read inside http; the best first.

    `conf.d/*.conf`-like patterns come before others, such as Debian's `sites-enabled/*`.
    """
    found: List[IncludePoint] = []
    for one in tree.http():
        path = _path_for(tree, one, stem)
        if path and path not in [place.path for place in found]:
            found.append(IncludePoint(path, tree.full(one.args[0]), one))
    return tuple(sorted(found, key=lambda place: not place.pattern.endswith(".conf")))


def overtaken(tree: Tree, place: IncludePoint, port: int) -> Tuple[Server, ...]:
    """Sites that answer for unknown names on this port only because they come first, and after a file here no more."""
    first: Dict[Tuple[str, int], Tuple[bool, Server]] = {}
    marked = set()
    before = True
    for block in (one for http in tree.top("http") for one in _in_order(http.block, place)):
        if block is None:
            before = False
            continue
        site = _server(block)
        for listen in site.on(port) if site.file != place.path else ():
            first.setdefault(listen.key, (before, site))
            marked |= {listen.key} if listen.default else set()
    lost = (site for key, (was_before, site) in first.items() if key not in marked and not was_before)
    return tuple(dict.fromkeys(lost))


def worker_user(tree: Tree) -> Optional[str]:
    """As which user the workers look at files, if it is said; otherwise the one that nginx was built with."""
    return next((one.args[0] for one in tree.top("user") if one.args), None)


def pid_file(tree: Tree) -> Optional[str]:
    return next((one.args[0] for one in tree.top("pid") if one.args), None)


def http_settings(tree: Tree, names: Sequence[str]) -> Tuple[Directive, ...]:
    """Directives of these names at the level of http, which every site inherits."""
    return tuple(one for one in tree.http() if one.name in names)


def _server(block: Directive) -> Server:
    said = tuple(listen for one in block.all("listen") for listen in _listens(one))
    names = tuple(name for one in block.all("server_name") for name in one.args)
    return Server(block.file, block.line, said or (Listen(ANY, 80),), names or ("",))


def _listens(said: Directive) -> Iterator[Listen]:
    """One directive can name a range of ports."""
    address, first, last = _address(said.args[0] if said.args else "")
    default = "default_server" in said.args or "default" in said.args
    both = "ipv6only=off" in said.args and address.startswith("[")
    for port in range(first, last + 1):
        yield Listen(address, port, default, both)


def _address(said: str) -> Tuple[str, int, int]:
    if said.startswith("unix:"):
        return said, 0, 0
    if said.startswith("["):
        address, _, ports = said.partition("]")
        address, ports = f"{address.lower()}]", ports.lstrip(":")
    elif ":" in said:
        address, _, ports = said.rpartition(":")
    else:
        address, ports = ("", said) if said.replace("-", "").isdigit() else (said, "")
    first, last = _range(ports)
    return ("*" if address in ("", ANY, "0.0.0.0") else address), first, last  # noqa: S104


def _range(ports: str) -> Tuple[int, int]:
    """`80`, `8080-8085`, or nothing, which is 80."""
    numbers = [int(part) for part in ports.split("-") if part.isdigit() and int(part) <= 65535]
    return (numbers[0], numbers[-1]) if numbers else (80, 80)


def _path_for(tree: Tree, one: Directive, stem: str) -> Optional[str]:
    if one.name != "include" or len(one.args) != 1:
        return None
    pattern = tree.full(one.args[0])
    directory, last = posixpath.split(pattern)
    if is_pattern(directory) or not is_pattern(last):
        return None
    paths = (posixpath.join(directory, name) for name in (f"{stem}.conf", stem))
    return next((path for path in paths if matches(pattern, path)), None)


def _in_order(directives: Sequence[Directive], place: IncludePoint) -> Iterator[Optional[Directive]]:
    """Each server block, and None where a file at this place is read: among the files of its include, by name."""
    for one in directives:
        if one.name == "server":
            yield one
        here = one == place.include
        for inner in one.block if one.name == "include" else ():
            if here and inner.file.encode() > place.path.encode():
                here = False
                yield None
            yield from _in_order((inner,), place)
        if here:
            yield None
