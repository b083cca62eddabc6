"""One app's way in, as a value: its names, its ports, and the link that nginx asks at every request."""

import hashlib
from dataclasses import field
from pathlib import Path
from typing import Optional

from teal_host.wire.app import Ports, ProxyRules, Site
from teal_host.wire.reports import SiteMark
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class Tls:
    """`folder` holds the certificate and its key, and a mark for each name that the certificate covers.

    `challenges` is where the certificate authority looks for the answers of its questions.
    """

    folder: Path
    challenges: Path
    redirect: bool = True
    hsts_days: int = 0
    http3: bool = False

    @property
    def chain(self) -> Path:
        return self.folder / "fullchain.pem"

    @property
    def key(self) -> Path:
        return self.folder / "privkey.pem"

    @property
    def covered(self) -> Path:
        """An empty file for each name that has HTTPS."""
        return self.folder / "names"


@dataclass(frozen=True)
class Route:
    """One app's way in. `live` is the link whose marker is asked; `token` lets Teal's own probe be told apart.

    `sockets`: the directory of the colors' sockets; None where they have ports alone.
    `fallback` is the link to the color that answers where the live one gives no answer; None: no color does.
    `tls`: None for a site on HTTP alone.
    """

    app: str
    site: Site
    ports: Ports
    live: Path
    token: str
    rules: ProxyRules = field(default_factory=ProxyRules)
    fallback: Optional[Path] = None
    sockets: Optional[Path] = None
    tls: Optional[Tls] = None

    @property
    def own_path(self) -> str:
        """Teal's own path on the site; the app gets no request for it."""
        return f"/.teal-{self.token}"

    @property
    def mark(self) -> SiteMark:
        """Hashes of the token, because they travel in clear text, perhaps to a server that is not ours."""
        return SiteMark(self._word("question"), self._word("answer"))

    def _word(self, purpose: str) -> str:
        return hashlib.sha256(f"{purpose} {self.token}".encode()).hexdigest()[:32]
