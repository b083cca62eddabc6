"""Every path on the host, from one root: `/` on a server, a directory of the user's own locally."""

from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

from teal_host.ground import files
from teal_host.wire.grammar import COLORS, Color
from teal_host.wire.sources import INSTALLED
from teal_host.wire.values import dataclass

_UNITS = "etc/systemd/system"
_AT_BOOT = f"{_UNITS}/multi-user.target.wants"  # a link here makes systemd start the unit at boot


class At:
    """A path below the root of its owner, whose other fields stand in braces."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get__(self, owner: Any, kind: Any = None) -> Path:
        path: Path = owner.root / self._pattern.format_map(vars(owner))
        return path


def unit_name(app: str, color: str = "") -> str:
    """The systemd unit of a color's web process; without a color, the template of all of them."""
    return f"teal-{app}@{color}.service"


@dataclass(frozen=True)
class ColorPaths:
    """A color of an app: where one of its releases runs."""

    root: Path
    app: str
    color: Color

    home = At("var/lib/teal/{app}/{color}")
    marker = At("var/lib/teal/{app}/{color}/{color}")  # nginx asks for it, below `live`, at every request
    release = At("var/lib/teal/{app}/{color}/release")  # the link to the release that this color runs
    process = At("var/lib/teal/{app}/{color}/process.json")  # of a plain process: its number, start and boot
    # What a systemd unit is to start: command, environment, directory. For root alone: there are secrets in it.
    start = At("var/lib/teal/{app}/{color}/start.json")
    # Where the program listens, if its command has {socket}. The directory is made anew at each start.
    socket = At("run/teal/{app}/{color}/socket")
    # The file because of which nginx asks the color's socket and not its port. It changes only while the color gets no
    # request.
    listens_on_socket = At("var/lib/teal/{app}/{color}/socket")

    @property
    def held(self) -> Optional[str]:
        """The name of the release that the color runs next, as its link says."""
        target = files.link_target(self.release)
        return target.name if target else None

    @property
    def unit(self) -> str:
        return unit_name(self.app, self.color)

    def log(self, release: str) -> Path:
        """Where a plain process's output goes."""
        return self.home.parent / "logs" / f"{self.color}-{release}.log"


@dataclass(frozen=True)
class AppPaths:
    root: Path
    app: str

    agreed = At("etc/teal/{app}/app.json")
    secrets = At("etc/teal/{app}/secrets")  # the values of `teal env`; there only with some in it
    footprint = At("etc/teal/{app}/footprint.json")  # what setup put on this server for the app
    tls = At("etc/teal/{app}/tls")  # the certificate and its key as nginx reads them, at each handshake
    port_rules = At("etc/teal/{app}/ports.nft")  # the app's table of nftables, as text

    home = At("var/lib/teal/{app}")
    releases = At("var/lib/teal/{app}/releases")
    records = At("var/lib/teal/{app}/records")
    logs = At("var/lib/teal/{app}/logs")
    live = At("var/lib/teal/{app}/live")  # the link that is the truth: to the directory of the live color
    # The link to the directory of the color that nginx asks where the live one gives no answer; maybe not there. It may
    # name the live color: nginx looks in it for the other color alone.
    fallback = At("var/lib/teal/{app}/fallback")
    challenges = At("var/lib/teal/{app}/challenges")  # for nginx to answer the questions of a certificate authority
    journal = At("var/lib/teal/{app}/journal")
    lock = At("var/lib/teal/{app}/lock")
    # With the current ten seconds behind it: the file for which nginx looks at every request. Only while Teal makes
    # such files does nginx log how it answered.
    watched = At("var/lib/teal/{app}/watched")
    audit = At("var/lib/teal/{app}/audit")  # a line for each thing that was done, or tried, with a deploy key
    data = At("var/lib/{app}")
    sockets = At("run/teal/{app}")  # a directory for each color; on a server each is a mount, by a unit of setup

    unit = At(f"{_UNITS}/teal-{{app}}@.service")  # the template of the units of both colors
    recovery = At(f"{_UNITS}/teal-{{app}}-recover.service")  # cleans up, once after a boot, what its end interrupted
    recovery_at_boot = At(f"{_AT_BOOT}/teal-{{app}}-recover.service")
    port_loader = At(f"{_UNITS}/teal-{{app}}-ports.service")  # loads `port_rules`
    port_loader_at_boot = At(f"{_AT_BOOT}/teal-{{app}}-ports.service")

    def socket_mount(self, color: ColorPaths) -> Path:
        """The unit that mounts the color's. systemd names it after the directory, and writes a hyphen as \\x2d."""
        escaped = self.app.replace("-", r"\x2d")
        return self.unit.with_name(f"run-teal-{escaped}-{color.color}.mount")

    def port_limit(self, color: ColorPaths) -> Path:
        """What the template of the units cannot say, because it differs between the colors."""
        return self.unit.parent / f"{color.unit}.d" / "ports.conf"

    def at_boot(self, color: Color) -> Path:
        """The link that makes systemd start a color at boot, as `systemctl enable` makes it."""
        return self.root / _AT_BOOT / unit_name(self.app, color)

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
        return ColorPaths(self.root, self.app, color)

    @property
    def colors(self) -> Tuple[ColorPaths, ...]:
        return tuple(map(self.color, COLORS))

    def release(self, name: str) -> Path:
        return self.releases / name


@dataclass(frozen=True)
class HostPaths:
    root: Path

    authorities = At("var/lib/teal/.authorities.pem")  # whom certbot believes, where a ca_file names more
    lock = At("var/lib/teal/.lock")  # held while something that apps share is changed; no app has a name with a dot
    key_places = At("run/teal-keys")  # the locks that the server sides of deploy keys hold; gone with the boot
    nginx = At("etc/nginx")
    installed = At(INSTALLED)  # the server side, put there by setup: units start programs with it, deploy keys run it

    def app(self, name: str) -> AppPaths:
        return AppPaths(self.root, name)

    def apps(self) -> Iterator[AppPaths]:
        """Every app that this host has agreed to run."""
        return (app for app in self.known() if app.agreed.exists())

    def known(self) -> Iterator[AppPaths]:
        """Also the apps of which an interrupted setup or destroy has left something."""
        return map(self.app, files.names_in(self.root / "etc/teal"))

    def shared_folders(self) -> Iterator[Path]:
        """What was made for all apps, leaves first. On a server the others are the system's."""
        of_teal = ("var/lib/teal", "etc/teal", "usr/local/lib/teal", "run/teal")
        of_a_local_root = ("run", "var/lib", "var", "etc/nginx", "etc", ".")
        for name in of_teal if self.root == Path("/") else (*of_teal, *of_a_local_root):
            yield self.root / name
