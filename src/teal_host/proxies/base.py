"""What a proxy is: it serves routes, each of which asks the link at every request; it never decides which is live."""

from dataclasses import field
from pathlib import Path
from typing import Protocol, Sequence, Tuple

from teal_host.wire.app import Ports, ProxyRules, Site
from teal_host.wire.values import dataclass

PROBE_HEADER = "X-Teal-Probe"  # with the app's token: "tell me which color answered"
ANSWERED_HEADER = "X-Teal-Answered-By"


@dataclass(frozen=True)
class Route:
    """One app's way in. `live` is the link whose marker is asked; `token` lets Teal's own probe be told apart."""

    app: str
    site: Site
    ports: Ports
    live: Path
    token: str
    rules: ProxyRules = field(default_factory=ProxyRules)


class Proxy(Protocol):
    def refuse(self, site: Site) -> None:
        """Raise BadRequest if this site could not be served here, naming who stands in the way."""

    def put(self, route: Route, others: Sequence[Route]) -> bool:
        """Serve the route beside the others; true when something had to change. It is in effect on return.

        Raises CannotRun with the proxy's own words, and then nothing has changed.
        """

    def take(self, app: str, others: Sequence[Route]) -> None:
        """Serve the app no more."""

    def serves(self, route: Route) -> bool:
        """Is exactly this route in effect now?"""

    def address(self, site: Site) -> Tuple[str, int]:
        """Where a probe on this machine asks."""

    def url(self, site: Site) -> str: ...

    def log_of(self, app: str) -> Path:
        """Where it says, while Teal watches, which address it asked and what the status was: a line a request."""

    def quiet(self, site: Site) -> bool:
        """Is it certain that no request is in flight now?"""
