"""Every path on the host, from one root: `/` on a server, a directory of the user's own locally."""

from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from teal_host.ground import files
from teal_host.wire.grammar import COLORS, Color
from teal_host.wire.sources import INSTALLED
from teal_host.wire.values import dataclass


def unit_name(app: str, color: str = "") -> str:
    """The systemd unit of a color's web process; without a color, the template of all of them."""
    return f"teal-{app}@{color}.service"


@dataclass(frozen=True)
class ColorPaths:
    """A color of an app: where one of its releases runs."""

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
    def held(self) -> Optional[str]:
        """The name of the release that the color runs next, as its link says."""
        target = files.link_target(self.release)
        return target.name if target else None

    @property
    def process(self) -> Path:
        """The plain process: its number, start and boot."""
        return self.home / "process.json"

    @property
    def start(self) -> Path:
        """What a systemd unit is to start: command, environment, directory. For root alone: there are secrets in it."""
        return self.home / "start.json"

    @property
    def unit(self) -> str:
        return unit_name(self.app, self.color)

    @property
    def socket(self) -> Path:
        """Where the program listens, if its command has {socket}. Its directory is made anew at each start."""
        return AppPaths(self.home.parents[4], self.app).sockets / self.color / "socket"

    @property
    def listens_on_socket(self) -> Path:
        """The file because of which nginx asks the color's socket and not its port; it changes only while the color
        gets no request.
        """
        return self.home / "socket"

    def log(self, release: str) -> Path:
        """Where a plain process's output goes."""
        return self.home.parent / "logs" / f"{self.color}-{release}.log"


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
    def fallback(self) -> Path:
        """The link to the directory of the color that nginx asks where the live one gives no answer; maybe not there.

        It may name the live color: nginx looks in it for the other color alone.
        """
        return self.home / "fallback"

    @property
    def journal(self) -> Path:
        return self.home / "journal"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def watched(self) -> Path:
        """With the current ten seconds behind it: the file for which nginx looks at every request. Only while Teal
        makes such files does nginx log how it answered.
        """
        return self.home / "watched"

    @property
    def sockets(self) -> Path:
        """A directory for each color. On a server each is a mount, by a unit that setup writes."""
        return self.root / "run/teal" / self.app

    def socket_mount(self, color: ColorPaths) -> Path:
        """The unit that mounts the color's. systemd names it after the directory, and writes a hyphen as \\x2d."""
        escaped = self.app.replace("-", r"\x2d")
        return self.unit.with_name(f"run-teal-{escaped}-{color.color}.mount")

    @property
    def data(self) -> Path:
        return self.root / "var/lib" / self.app

    @property
    def footprint(self) -> Path:
        """What setup put on this server for the app."""
        return self.agreed.with_name("footprint.json")

    @property
    def audit(self) -> Path:
        """A line for each thing that was done, or tried, with a deploy key."""
        return self.home / "audit"

    @property
    def unit(self) -> Path:
        """The template of the units of both colors."""
        return self.root / "etc/systemd/system" / unit_name(self.app)

    @property
    def recovery(self) -> Path:
        """The unit that cleans up, once after a boot, what the end of the machine has interrupted."""
        return self.unit.with_name(f"teal-{self.app}-recover.service")

    @property
    def recovery_at_boot(self) -> Path:
        """The link that makes systemd run it."""
        return self.unit.parent / "multi-user.target.wants" / self.recovery.name

    @property
    def port_rules(self) -> Path:
        """The app's table of nftables, as text."""
        return self.agreed.with_name("ports.nft")

    @property
    def port_loader(self) -> Path:
        """The unit that loads the table."""
        return self.unit.with_name(f"teal-{self.app}-ports.service")

    @property
    def port_loader_at_boot(self) -> Path:
        return self.unit.parent / "multi-user.target.wants" / self.port_loader.name

    def port_limit(self, color: ColorPaths) -> Path:
        """What the template of the units cannot say, because it differs between the colors."""
        return self.unit.parent / f"{color.unit}.d" / "ports.conf"

    def at_boot(self, color: Color) -> Path:
        """The link that makes systemd start a color at boot, as `systemctl enable` makes it."""
        return self.unit.parent / "multi-user.target.wants" / self.color(color).unit

    @property
    def folders(self) -> Tuple[Path, ...]:
        """Where single files are written."""
        return (self.home, self.records, *(color.home for color in self.colors), self.agreed.parent)

    def all_folders(self) -> List[Path]:
        """Where a command names anything, with the directories above, the deepest first. Not all need be there."""
        leaves = (*self.folders, self.releases, self.data, self.recovery_at_boot.parent)
        folders = {above for leaf in leaves for above in (leaf, *leaf.parents) if self.root in (above, *above.parents)}
        return [*sorted(folders, key=lambda path: -len(path.parts)), self.root.parent]

    def color(self, color: Color) -> ColorPaths:
        return ColorPaths(self.app, color, self.home / color)

    @property
    def colors(self) -> Tuple[ColorPaths, ...]:
        return tuple(map(self.color, COLORS))

    def release(self, name: str) -> Path:
        return self.releases / name


@dataclass(frozen=True)
class HostPaths:
    root: Path

    def app(self, name: str) -> AppPaths:
        return AppPaths(self.root, name)

    def apps(self) -> Iterator[AppPaths]:
        """Every app that this host has agreed to run."""
        return (app for app in self.known() if app.agreed.exists())

    def known(self) -> Iterator[AppPaths]:
        """Also the apps of which an interrupted setup or destroy has left something."""
        return map(self.app, files.names_in(self.root / "etc/teal"))

    @property
    def lock(self) -> Path:
        """Held while something that apps share is changed: ports, nginx. No app has a name with a dot."""
        return self.root / "var/lib/teal/.lock"

    @property
    def key_places(self) -> Path:
        """The locks that the server sides of deploy keys hold. Gone with the boot, as these are."""
        return self.root / "run/teal-keys"

    @property
    def nginx(self) -> Path:
        return self.root / "etc/nginx"

    @property
    def installed(self) -> Path:
        """The server side, put there by setup: units start programs with it, and deploy keys run it."""
        return self.root / INSTALLED

    def shared_folders(self) -> Iterator[Path]:
        """What was made for all apps, leaves first. On a server the others are the system's."""
        of_teal = ("var/lib/teal", "etc/teal", "usr/local/lib/teal", "run/teal")
        of_a_local_root = ("run", "var/lib", "var", "etc/nginx", "etc", ".")
        for name in of_teal if self.root == Path("/") else (*of_teal, *of_a_local_root):
            yield self.root / name
