"""The sections of teal.toml. The wire defines those that the server acts on, so both sides read the same."""

import re
from collections.abc import Iterator
from dataclasses import field
from typing import Annotated

from teal.config.headers import set_twice
from teal_host.wire.app import (
    AppSpec,
    Health,
    Https,
    Keep,
    ProxyRules,
    Run,
    Sandbox,
    Site,
    Verify,
    https_mistakes,
    placeholder_mistakes,
)
from teal_host.wire.grammar import AppName, EnvValue
from teal_host.wire.site_grammar import Domain, Port
from teal_host.wire.typed import Mistake
from teal_host.wire.values import dataclass

BUILD_PLACEHOLDERS = ("goarch", "arch", "os")

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_HOST = r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])"
_SSH = re.compile(rf"ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,63}}@)?{_HOST}(?::[0-9]{{1,5}})?/?")
_LOGIN = re.compile(r"[^/]*[@.:][^/]*")  # root@example.com: what a person types after ssh
_MULTIPASS = re.compile(r"multipass://[A-Za-z][A-Za-z0-9-]{0,62}")


def target_address(value: str) -> str | None:
    """Checks a target. No target can become an option of ssh (`ssh://-oProxyCommand=…`)."""
    if value == "local" or _MULTIPASS.fullmatch(value):
        return None
    if _SSH.fullmatch(value):
        port = re.search(r":([0-9]+)/?$", value)
        return None if port is None or 1 <= int(port[1]) <= 65535 else f"{port[1]} is not a port"
    is_login = _LOGIN.fullmatch(value) and _SSH.fullmatch(f"ssh://{value}")
    suggestion = f'; did you mean "ssh://{value}"?' if is_login else ""
    return f'{value[:80]!r} must be "local", "ssh://[USER@]HOST[:PORT]" or "multipass://NAME"{suggestion}'


def build_text(value: str) -> str | None:
    if "\0" in value:
        return "must not contain a NUL character"
    for name in _PLACEHOLDER.findall(value):
        if name not in BUILD_PLACEHOLDERS:
            return f"{{{name}}} is not known here; there are " + ", ".join(f"{{{n}}}" for n in BUILD_PLACEHOLDERS)
    return None


def build_env_name(value: str) -> str | None:
    return None if _ENV_NAME.fullmatch(value) else "is not a name for an environment variable"


def local_path(value: str) -> str | None:
    return "must name a file or a directory" if not value.strip() or "\0" in value else None


@dataclass(frozen=True)
class Build:
    """How the client builds the artifact. The build never runs on the server."""

    command: tuple[Annotated[str, build_text], ...] = ()
    env: dict[Annotated[str, build_env_name], Annotated[EnvValue, build_text]] = field(default_factory=dict)
    artifact: Annotated[str, local_path] | None = None

    def mistakes(self) -> Iterator[Mistake]:
        if self.command and not self.command[0]:
            yield Mistake("command[0]", "must name a program")


@dataclass(frozen=True)
class ServerSection:
    target: Annotated[str, target_address] = "local"
    domains: tuple[Domain, ...] = ()
    http_port: Port | None = None
    redirects: tuple[Domain, ...] = ()

    def mistakes(self) -> Iterator[Mistake]:
        yield from self.site.mistakes()

    @property
    def site(self) -> Site:
        return Site(self.domains, self.http_port or (8080 if self.target == "local" else 80), self.redirects)


@dataclass(frozen=True)
class Config:
    app: AppName
    run: Run
    build: Build = field(default_factory=Build)
    server: ServerSection = field(default_factory=ServerSection)
    health: Health = field(default_factory=Health)
    verify: Verify = field(default_factory=Verify)
    keep: Keep = field(default_factory=Keep)
    proxy: ProxyRules = field(default_factory=ProxyRules)
    sandbox: Sandbox = field(default_factory=Sandbox)
    https: Https = field(default_factory=Https)

    def mistakes(self) -> Iterator[Mistake]:
        yield from https_mistakes(self.https, self.server.site, "server")
        yield from set_twice(self.proxy.directives)
        yield from placeholder_mistakes(self.run, self.health, self.verify)

    @property
    def spec(self) -> AppSpec:
        """The part that the client sends to the server."""
        sections = (self.run, self.health, self.verify, self.keep, self.proxy, self.sandbox, self.https)
        return AppSpec(self.app, self.server.site, *sections)
