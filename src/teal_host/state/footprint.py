"""What setup has put on this server for an app: so a hand's change is noticed, and destroy takes back just that."""

from dataclasses import field, replace
from pathlib import Path
from typing import Dict, Iterator, Optional, Set, Tuple

from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.state.disk_format import DiskFormat
from teal_host.wire.grammar import PublicKey
from teal_host.wire.values import dataclass

_REMEMBERED = 10  # digests a file: what is there, and what a setup that was killed or refused did not reach


@dataclass(frozen=True)
class GaveWay:
    """A distribution's welcome page that this app's default site took the place of: a link, and where it pointed."""

    link: str
    target: str


@dataclass(frozen=True)
class Footprint:
    """`files`: every file that setup wrote, with the digests that it may have; `nginx`: which of them is the route.

    `made`: directories that were not there before. `keys`: the deploy keys, as they were given.
    """

    files: Dict[str, Tuple[str, ...]] = field(default_factory=dict)
    nginx: Optional[str] = None
    gave_way: Optional[GaveWay] = None
    keys: Tuple[PublicKey, ...] = ()
    made: Tuple[str, ...] = ()

    def wrote(self, path: Path, digest: str) -> bool:
        return digest in self.files.get(str(path), ())

    def with_file(self, path: Path, digest: str) -> "Footprint":
        digests = (*self.files.get(str(path), ()), digest)[-_REMEMBERED:]
        return replace(self, files={**self.files, str(path): digests})


_FORMAT = DiskFormat(Footprint, 2)


def load(paths: AppPaths) -> Footprint:
    """Raises Unreadable."""
    try:
        return _FORMAT.read(paths.footprint)
    except FileNotFoundError:
        return Footprint()


def save(paths: AppPaths, footprint: Footprint) -> None:
    _FORMAT.write(paths.footprint, footprint)


def remember(paths: AppPaths, path: Path, digest: str) -> None:
    """This file will be written; said before it is done."""
    save(paths, load(paths).with_file(path, digest))


def remember_made(paths: AppPaths, folder: Path) -> None:
    """This directory will be made, where there is none; said before it is done."""
    footprint = load(paths)
    if str(folder) not in footprint.made:
        save(paths, replace(footprint, made=(*footprint.made, str(folder))))


def nginx_files(host: HostPaths, app: str, own: Footprint) -> Set[str]:
    """The nginx file of every app."""
    footprints = [own, *(footprint for _, footprint in others(host, app))]
    return {footprint.nginx for footprint in footprints if footprint.nginx}


def others(host: HostPaths, app: str) -> Iterator[Tuple[str, Footprint]]:
    """Those of all other apps, by name."""
    for path in sorted((host.root / "etc/teal").glob("*/footprint.json")):
        if path.parent.name != app:
            yield path.parent.name, load(host.app(path.parent.name))
