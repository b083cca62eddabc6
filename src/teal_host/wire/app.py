"""What an app is, as both sides agree on it: the sections of teal.toml that the server acts on, and their defaults."""

import json as json_text
from dataclasses import field, replace
from typing import Annotated, Any, Dict, Iterator, Optional, Tuple

from teal_host.wire.grammar import (
    COLORS,
    AbsolutePath,
    AppName,
    Argument,
    Capability,
    Color,
    EnvName,
    EnvValue,
    SystemCallGroup,
    between,
    json_value,
)
from teal_host.wire.site_grammar import (
    ANY_LABEL,
    AppPort,
    Certificate,
    Directive,
    Domain,
    Email,
    HttpsUrl,
    Port,
    StatusCode,
    Trusted,
    UrlPath,
)
from teal_host.wire.typed import Mistake
from teal_host.wire.values import dataclass

Json = Dict[str, Any]

_JSON_DEPTH = 16
MOST_JSON = 64 * 1024  # bytes: an answer is read that far, and every stored release has a copy of what it must have
HTTPS_PORT = 443
_ORDERED_BY_DEFAULT = False
_OF_NO_CA = ("test", "local", "localhost", "internal", "example", "invalid", "onion", "arpa")
MOST_HANDED_OVER = 1_000_000  # bytes of arguments and environment; Linux starts a program with at most 2 MB


@dataclass(frozen=True)
class Ports:
    blue: AppPort
    green: AppPort

    def mistakes(self) -> Iterator[Mistake]:
        if self.blue == self.green:
            yield Mistake("green", f"is {self.green}, the same as blue; each color needs a port of its own")

    def of(self, color: Color) -> int:
        return int(getattr(self, color))

    @property
    def by_color(self) -> Dict[Color, int]:
        return {color: self.of(color) for color in COLORS}


@dataclass(frozen=True)
class Site:
    """How the world reaches the app through nginx. Without domains it is the server's default site.

    Requests for `redirects` are sent to the first domain.
    """

    domains: Tuple[Domain, ...] = ()
    http_port: Port = 80
    redirects: Tuple[Domain, ...] = ()

    def mistakes(self) -> Iterator[Mistake]:
        if self.domains and is_wildcard(self.domains[0]):
            bare = self.domains[0][len(ANY_LABEL) :]
            yield Mistake("domains[0]", f'is the name that Teal and redirects use, without "*"; put "{bare}" first')
        if self.redirects and not self.domains:
            yield Mistake("redirects", "lead to the first of domains, and there are no domains")
        for index, name in enumerate(self.names):
            key = _indexed("domains", index) if index < len(self.domains) else self._redirect(index)
            if name in self.names[:index]:
                yield Mistake(key, f'"{name}" is there twice')

    def _redirect(self, index: int) -> str:
        return _indexed("redirects", index - len(self.domains))

    @property
    def names(self) -> Tuple[str, ...]:
        """All under which nginx finds the app."""
        return (*self.domains, *self.redirects)

    @property
    def host(self) -> str:
        """The Host header that the app is asked with."""
        return self.domains[0] if self.domains else "localhost"


@dataclass(frozen=True)
class Https:
    """`certificate`: where it comes from; None: not said. `ca_file` is the text that verifies the `directory`.

    `cert` and `key` are files on the server, of whoever renews them.
    """

    certificate: Optional[Certificate] = None
    email: Optional[Email] = None
    directory: Optional[HttpsUrl] = None
    ca_file: Optional[str] = None
    cert: Optional[AbsolutePath] = None
    key: Optional[AbsolutePath] = None
    redirect: bool = True
    hsts_days: Annotated[int, between(0, 3650)] = 0
    http3: bool = False

    def mistakes(self) -> Iterator[Mistake]:
        for name in ("cert", "key"):
            if self.certificate == "files" and getattr(self, name) is None:
                yield Mistake(name, f'is missing; certificate = "files" needs the path of the {name} on the server')
            if self.certificate not in ("files", "none") and getattr(self, name) is not None:
                yield Mistake(name, 'is for certificate = "files"; add that line')
        if self.ca_file is not None and self.directory is None:
            yield Mistake("ca_file", "verifies another directory; add the line directory")


NO_HTTPS = Https("none")


@dataclass(frozen=True)
class Run:
    command: Tuple[Argument, ...]
    ports: Optional[Ports] = None
    env: Dict[EnvName, EnvValue] = field(default_factory=dict)
    data: bool = False
    ports2: Optional[Ports] = None

    @property
    def on_socket(self) -> bool:
        """Does the program listen on a unix socket of its color, and not on a port?"""
        return self.uses("{socket}")

    @property
    def own_env(self) -> Dict[str, str]:
        """Names that Teal sets for this program and not for every one, each with the key that asks for it."""
        return {**({"SOCKET": "command"} if self.on_socket else {}), **({"PORT2": "ports2"} if self.ports2 else {})}

    @property
    def lacks(self) -> Dict[str, str]:
        """Placeholders that this app has not, each with why."""
        second = {} if self.ports2 else {"port2": "which needs [run] ports2"}
        if self.on_socket:
            return {**second, "port": "but [run] command uses {socket}"}
        return {**second, "socket": "but [run] command does not"}

    @property
    def handed_over(self) -> int:
        """Bytes of arguments and environment."""
        return sum(len(text.encode()) for text in (*self.command, *self.env, *self.env.values()))

    def mistakes(self) -> Iterator[Mistake]:
        if not self.command or not self.command[0]:
            yield Mistake("command", 'must name a program, such as ["./app", "--port", "{port}"]')
        if self.handed_over > MOST_HANDED_OVER:
            yield Mistake("env", f"and command are together more than {MOST_HANDED_OVER:,} bytes")
        if self.on_socket and self.uses("{port}"):
            yield Mistake("command", "uses both {socket} and {port}; a program listens on one of them")
        for name in sorted(set(self.own_env) & set(self.env)):
            yield Mistake(f"env.{name}", f"is set by Teal, because of [run] {self.own_env[name]}; choose another name")
        if not self.data and self.uses("{data_dir}"):
            yield Mistake("command", "uses {data_dir}, which needs data = true")

    def uses(self, placeholder: str) -> bool:
        return any(placeholder in argument for argument in self.command)


@dataclass(frozen=True)
class Health:
    path: UrlPath = "/healthz"
    status: StatusCode = 200
    json: Optional[Json] = None
    deadline_s: Annotated[float, between(0.1, 3600)] = 30.0
    successes: Annotated[int, between(1, 100)] = 3

    def mistakes(self) -> Iterator[Mistake]:
        yield from _json_mistakes(self.json)


@dataclass(frozen=True)
class Verify:
    """What is asked through nginx after the switch. Without a path only the proof that the new color answers."""

    path: Optional[UrlPath] = None
    status: StatusCode = 200
    json: Optional[Json] = None

    def mistakes(self) -> Iterator[Mistake]:
        yield from _json_mistakes(self.json)
        if self.json is not None and self.path is None:
            yield Mistake("path", 'is missing; json needs a path to ask, such as "/status"')


@dataclass(frozen=True)
class Keep:
    releases: Annotated[int, between(2, 1000)] = 5
    previous_running: bool = True
    watch_s: Annotated[float, between(0, 3600)] = 10.0
    drain_s: Annotated[float, between(0, 3600)] = 30.0
    fallback: bool = True


@dataclass(frozen=True)
class ProxyRules:
    """How nginx passes requests on. On a server `teal setup` agrees on them, never a deploy.

    `directives` are the user's own, for the app's server block; each is checked to be whole, then asked of `nginx -t`.
    `trusted` are in front of nginx, and may say from which address and how a request came.
    """

    max_body_mb: Annotated[int, between(0, 1_000_000)] = 100
    read_timeout_s: Annotated[int, between(1, 86_400)] = 300
    gzip: bool = True
    buffering: bool = False
    directives: Tuple[Directive, ...] = ()
    trusted: Tuple[Trusted, ...] = ()


@dataclass(frozen=True)
class Sandbox:
    """What the program may do beyond the defaults, each by name. On a server `teal setup` agrees on it."""

    writable: Tuple[AbsolutePath, ...] = ()
    capabilities: Tuple[Capability, ...] = ()
    system_calls: Tuple[SystemCallGroup, ...] = ()
    memory_mb: Optional[Annotated[int, between(8, 16_000_000)]] = None
    tasks: Annotated[int, between(4, 100_000)] = 512
    open_files: Annotated[int, between(64, 1_000_000)] = 65_536


def placeholder_mistakes(run: Run, health: Health, verify: Verify) -> Iterator[Mistake]:
    """What is asked of an app names nothing that the app has not; else that would be asked as it stands there. For a
    teal.toml, and not for what is stored: a record of before may hold such words, and stays readable.
    """
    if not run.ports2 and run.uses("{port2}"):
        yield Mistake("run.command", "uses {port2}, which needs ports2 = { blue = 9081, green = 9082 }")
    asked = {"health.path": health.path, "health.json": health.json, "verify.path": verify.path}
    for path, value in {**asked, "verify.json": verify.json}.items():
        text = json_text.dumps(value)
        for name, why in run.lacks.items():
            if f"{{{name}}}" in text:
                yield Mistake(path, f"uses {{{name}}}, {why}")


@dataclass(frozen=True)
class AppSpec:
    """All that the server needs to know to run one release of one app."""

    app: AppName
    site: Site
    run: Run
    health: Health
    verify: Verify
    keep: Keep
    proxy: ProxyRules = field(default_factory=ProxyRules)
    sandbox: Sandbox = field(default_factory=Sandbox)
    https: Https = field(default_factory=Https)

    def mistakes(self) -> Iterator[Mistake]:
        yield from https_mistakes(self.https, self.site, "site")


def is_wildcard(name: str) -> bool:
    return name.startswith(ANY_LABEL)


def https_mistakes(https: Https, site: Site, section: str) -> Iterator[Mistake]:
    """What does not fit together. `section` holds the names."""
    if https.certificate in (None, "none"):
        return
    if not site.domains:
        yield Mistake("https.certificate", f'a certificate is for names, and {section} has no domains; use "none"')
    if site.http_port == HTTPS_PORT:
        yield Mistake(f"{section}.http_port", f"is the port of HTTPS; [https] listens on {HTTPS_PORT} by itself")
    for index, name in enumerate(site.names):
        if https.certificate == "letsencrypt" and is_wildcard(name):
            key = _indexed("domains", index) if index < len(site.domains) else site._redirect(index)
            why = "is not signed by Let's Encrypt without DNS-01, which Teal does not do"
            yield Mistake(f"{section}.{key}", f'"{name}" {why}; use certificate = "files" or "cloudflare"')


def decided_https(https: Https, site: Site, is_local: bool) -> Https:
    """What holds where teal.toml leaves it open. This machine stays on HTTP."""
    kind = "none" if is_local else https.certificate or _default_certificate(https, site)
    return NO_HTTPS if kind == "none" else replace(https, certificate=kind)


def _default_certificate(https: Https, site: Site) -> str:
    signed = https.directory or all(map(_is_signed, site.names))
    by_default = _ORDERED_BY_DEFAULT and site.domains and site.http_port == 80 and signed
    return "letsencrypt" if by_default else "none"


def _is_signed(name: str) -> bool:
    """Does a public CA sign certificates for such names?"""
    _, dot, last = name.rpartition(".")
    return bool(dot) and last not in _OF_NO_CA


def _indexed(key: str, index: int) -> str:
    return f"{key}[{index}]"


def _json_mistakes(wanted: Any) -> Iterator[Mistake]:
    mistakes = list(_not_json(wanted))
    yield from mistakes
    if not mistakes and len(json_text.dumps(wanted, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_JSON:
        yield Mistake("json", f"is more than {MOST_JSON:,} bytes; no longer answer is read")


def _not_json(wanted: Any, depth: int = 0) -> Iterator[Mistake]:
    """What a JSON answer cannot be compared with: teal.toml can say dates and inf, and nest deeper than a message."""
    complaint = json_value(wanted)
    if complaint or depth > _JSON_DEPTH:
        yield Mistake("json", complaint or f"is nested deeper than {_JSON_DEPTH}")
    elif isinstance(wanted, dict):
        for key, item in wanted.items():
            yield from _not_json(key, depth)
            yield from _not_json(item, depth + 1)
    elif isinstance(wanted, (list, tuple)):
        for item in wanted:
            yield from _not_json(item, depth + 1)
