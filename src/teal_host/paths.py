"""Every path on the host, from one root: `/` on a server, a directory of the user's own locally."""

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Tuple

from teal_host.wire.reports import Color


@dataclass(frozen=True)
class ColorPaths:
    """One of the two places a release of an app runs."""

    app: str
    color: Color
    home: Path

    @property
    def marker(self) -> Path:
        """The file whose existence below `live` nginx asks at every request."""
        return self.home / self.color

    @property
    def release(self) -> Path:
        """The link to the release that this color runs."""
        return self.home / "release"

    @property
    def process(self) -> Path:
        return self.home / "process.json"


@dataclass(frozen=True)
class AppPaths:
    root: Path
    app: str

    @property
    def agreed(self) -> Path:
        return self.root / "etc/teal" / self.app / "app.json"

    @property
    def secrets(self) -> Path:
        """The values of `teal env`; there only with some in it."""
        return self.agreed.parent / "secrets"

    @property
    def home(self) -> Path:
        return self.root / "var/lib/teal" / self.app

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def records(self) -> Path:
        return self.home / "records"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def live(self) -> Path:
        """The link that is the truth: to the directory of the live color."""
        return self.home / "live"

    @property
    def journal(self) -> Path:
        return self.home / "journal"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def data(self) -> Path:
        return self.root / "var/lib" / self.app

    @property
    def folders(self) -> Tuple[Path, ...]:
        """Where single files are written."""
        return (self.home, self.records, self.color("blue").home, self.color("green").home, self.agreed.parent)

    def color(self, color: Color) -> ColorPaths:
        return ColorPaths(self.app, color, self.home / color)

    def release(self, name: str) -> Path:
        return self.releases / name


@dataclass(frozen=True)
class HostPaths:
    root: Path

    def app(self, name: str) -> AppPaths:
        return AppPaths(self.root, name)

    def apps(self) -> Iterator[AppPaths]:
        """Every app that this host has agreed to run."""
        for agreed in sorted((self.root / "etc/teal").glob("*/app.json")):
            yield self.app(agreed.parent.name)

    @property
    def lock(self) -> Path:
        """Held while something that apps share is changed: ports, nginx. No app has a name with a dot."""
        return self.root / "var/lib/teal/.lock"

    @property
    def nginx(self) -> Path:
        return self.root / "etc/nginx"

    def shared_folders(self) -> Iterator[Path]:
        """What was made for all apps, leaves first; on a server the last ones are the system's and never empty."""
        for name in ("var/lib/teal", "var/lib", "var", "etc/teal", "etc/nginx", "etc", "."):
            yield self.root / name
