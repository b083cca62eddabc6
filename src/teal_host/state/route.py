"""One app's way in, as a value: its names, its ports, and the link that nginx asks at every request."""

from dataclasses import field
from pathlib import Path

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
