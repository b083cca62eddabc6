"""The values from which every part of a site's file is made."""

from dataclasses import field
from pathlib import Path
from typing import Dict, Optional, Tuple

from teal_host.state.route import Route
from teal_host.wire.grammar import COLORS, Color
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class SiteLog:
    """`path` is the log that nginx writes while Teal watches. `others` are the logs that nginx writes of every site.

    A site with a log of its own inherits none, so the site's file repeats the others.
    """

    path: Path
    others: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Nginx:
    """What the machine's nginx knows and may. `opens_key`: its workers read the key of a certificate themselves."""

    version: Tuple[int, ...] = ()
    opens_key: bool = True


@dataclass(frozen=True)
class SiteParameters:
    """`listens` are values of nginx's directive `listen`, such as `80` and `[::]:80`.

    `keepalive` is how many idle connections to each color an nginx worker keeps open. With `has_mark` a client can
    recognize the site. `takes_claims`: the program gets no claim of a client about who asks, and its answers fill no
    files of nginx's unasked. `tells_of_nobody`: nginx answers 503 while no color is live.
    With `has_ranges` the file names the networks of who is trusted by a word.
    """

    route: Route
    listens: Tuple[str, ...]
    log: Optional[SiteLog]
    generation: str
    keepalive: int = 128  # two colors take at most a third of a worker's connections in Debian's nginx.conf, 768
    has_mark: bool = True
    takes_claims: bool = True
    tells_of_nobody: bool = True
    nginx: Nginx = field(default_factory=Nginx)
    has_ranges: bool = True

    @property
    def sockets(self) -> Dict[Color, str]:
        """The path of each color's socket; none where the colors have ports alone."""
        folder = self.route.sockets
        return {color: str(folder / color / "socket") for color in COLORS} if folder else {}

    @property
    def scheme(self) -> str:
        """nginx's variable for how the visitor asked."""
        return f"$teal_{self.name}_scheme" if self.route.rules.trusted else "$scheme"

    @property
    def name(self) -> str:
        """The app's name as a part of nginx's variables, which may hold no hyphen."""
        return self.route.app.replace("-", "_")
