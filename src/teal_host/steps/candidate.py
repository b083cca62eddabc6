"""A release on a color: Teal starts, probes, switches to and watches it."""

from typing import Any, Dict, Optional, Tuple

from teal_host.ground import files, processes
from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.ground.run import Program
from teal_host.proxies.upstream import HERE, TcpPort, Upstream, of_color
from teal_host.state import secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import ask_on_socket
from teal_host.wire.app import AppSpec, Ports
from teal_host.wire.grammar import fill
from teal_host.wire.reports import Color
from teal_host.wire.values import dataclass

_MB = 1_000_000


@dataclass(frozen=True)
class Candidate:
    record: Record
    color: Color
    pairs: Tuple[Ports, ...]  # as agreed: where nginx asks; and [run] ports2, if any were
    paths: AppPaths
    scheme: str = "http"  # as agreed: how visitors ask

    @property
    def headers(self) -> Tuple[Tuple[str, str], ...]:
        """An app that takes HTTPS alone would redirect a question without these."""
        return () if self.scheme == "http" else (("X-Forwarded-Proto", self.scheme),)

    @property
    def spec(self) -> AppSpec:
        return self.record.spec

    @property
    def release(self) -> str:
        return self.record.release

    @property
    def slot_paths(self) -> ColorPaths:
        return self.paths.color(self.color)

    @property
    def upstream(self) -> Upstream:
        return of_color(self.slot_paths, self.pairs[0], self.spec.run.on_socket)

    @property
    def tcp_ports(self) -> Tuple[TcpPort, ...]:
        """That the program may take: with [run] command `{socket}` not the one where nginx would ask."""
        first = None if self.spec.run.on_socket else self.pairs[0].of(self.color)
        return tuple(TcpPort(port) for port in (first, self.port2) if port)

    @property
    def port2(self) -> Optional[int]:
        """As agreed; a release of before a lost agreement has its own."""
        own = self.spec.run.ports2
        return (*self.pairs, own)[1].of(self.color) if own else None

    @property
    def places(self) -> Dict[str, str]:
        """Where the program is to listen, by the names of the placeholders."""
        second = {"port2": str(self.port2)} if self.port2 else {}
        return {**self.upstream.values, **second}

    def filled(self, template: Any) -> Any:
        """The value with {port} and its kin replaced, in every text inside it."""
        if isinstance(template, str):
            return fill(template, self._values())
        if isinstance(template, dict):
            return {self.filled(key): self.filled(value) for key, value in template.items()}
        return [self.filled(value) for value in template] if isinstance(template, (list, tuple)) else template

    def _values(self) -> Dict[str, str]:
        return {
            **self.places,
            "color": self.color,
            "release": self.release,
            "data_dir": str(self.paths.data),
            "host": HERE,
        }


def start(app: App, candidate: Candidate) -> None:
    """Start the release as its color's process. Raises CannotRun when it cannot be executed."""
    if candidate.spec.run.data:
        files.make_dir(candidate.paths.data, 0o700)
    ask_on_socket(candidate.slot_paths, candidate.spec.run.on_socket)  # each time: an earlier start may have been cut
    app.host.supervisor.start(candidate.slot_paths, _program(candidate))


def warn_if_memory_is_short(app: App, live: Candidate) -> None:
    """Before a second copy of the program is started: the live one shows how much memory a copy takes."""
    free = processes.available_memory()
    if free >= processes.total_memory() // 2:  # so it cannot hold more, and systemd need not be asked
        return
    used = processes.resident(app.host.supervisor.pids(live.slot_paths))
    if free < used:
        app.warn(
            f"{live.color} holds {used // _MB:,} MB of memory, and only {free // _MB:,} MB are left for a second copy"
            f"{app.host.provisioning.hints.memory}"
        )


def environment_of(candidate: Candidate) -> Dict[str, str]:
    """All that Teal gives the program: teal.toml's environment, that of `teal env`, and Teal's own names last.

    Raises NeedsHuman when the values that the release ran with are lost.
    """
    stored = secrets.values_of(candidate.paths, candidate.record)
    at = {name.upper(): value for name, value in candidate.places.items()}
    host = {} if candidate.spec.run.on_socket else {"HOST": HERE}
    own = {**at, **host, "COLOR": candidate.color, "RELEASE": candidate.release}
    data = {"DATA_DIR": str(candidate.paths.data)} if candidate.spec.run.data else {}
    return {**candidate.spec.run.env, **stored, **own, **data}


def _program(candidate: Candidate) -> Program:
    folder = candidate.paths.release(candidate.release)
    argv = [candidate.filled(argument) for argument in candidate.spec.run.command]
    return Program(argv, environment_of(candidate), folder, candidate.slot_paths.log(candidate.release))
