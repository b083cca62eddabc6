"""What setup has put on the server for an app. With it Teal notices manual edits, and destroy removes just that."""

from dataclasses import field, replace
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence, Set, Tuple

from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.disk_format import DiskFormat
from teal_host.wire.grammar import KeyDigest, KeyWord, Principal, PublicKey
from teal_host.wire.values import dataclass

_REMEMBERED = 10  # digests of one file: its content, and contents that a killed or rejected setup announced


@dataclass(frozen=True)
class WelcomePage:
    """A distribution's welcome page that this app's default site replaced: a link, and where the link pointed."""

    link: str
    target: str


@dataclass(frozen=True)
class Footprint:
    """`files`: every file that setup wrote, with the digests that the file may have. `nginx`: the file of the route.

    `made`: directories that setup created. `keys`: the deploy keys and the keys of CAs, as the admin gave them.
    `may`: what a key may do, by its fingerprint; a key that is not here may do all that a deploy key can.
    `principals`: of a CA's key, by its fingerprint.
    """

    files: Dict[str, Tuple[str, ...]] = field(default_factory=dict)
    nginx: Optional[str] = None
    gave_way: Optional[WelcomePage] = None
    keys: Tuple[PublicKey, ...] = ()
    made: Tuple[str, ...] = ()
    may: Dict[KeyDigest, Tuple[KeyWord, ...]] = field(default_factory=dict)
    principals: Dict[KeyDigest, Tuple[Principal, ...]] = field(default_factory=dict)

    @property
    def deploy_keys(self) -> Tuple[DeployKey, ...]:
        known = ((key, DeployKey(key).fingerprint) for key in self.keys)
        return tuple(DeployKey(key, self.may.get(name, ()), self.principals.get(name, ())) for key, name in known)

    def with_keys(self, keys: Sequence[DeployKey]) -> "Footprint":
        may = {key.fingerprint: key.may for key in keys if key.may}
        principals = {key.fingerprint: key.principals for key in keys if key.principals}
        return replace(self, keys=tuple(key.public for key in keys), may=may, principals=principals)

    def wrote(self, path: Path, digest: str) -> bool:
        return digest in self.files.get(str(path), ())

    def with_file(self, path: Path, digest: str) -> "Footprint":
        digests = (*self.files.get(str(path), ()), digest)[-_REMEMBERED:]
        return replace(self, files={**self.files, str(path): digests})


_FORMAT, _WITHOUT_CAS, _WITHOUT_LESSER_KEYS = DiskFormat(Footprint, 4), 3, 2


def load(paths: AppPaths) -> Footprint:
    """Raises Unreadable."""
    try:
        return _FORMAT.read(paths.footprint)
    except FileNotFoundError:
        return Footprint()


def save(paths: AppPaths, footprint: Footprint) -> None:
    """An older Teal would let a key that only looks, or a CA itself, deploy. So it stops at a footprint with one."""
    without_cas = _WITHOUT_CAS if footprint.may else _WITHOUT_LESSER_KEYS
    _FORMAT.write(paths.footprint, footprint, 0 if footprint.principals else without_cas)


def remember(paths: AppPaths, path: Path, digest: str) -> None:
    """Record that Teal is about to write this file."""
    save(paths, load(paths).with_file(path, digest))


def remember_made(paths: AppPaths, folder: Path) -> None:
    """Record that Teal is about to create this directory, if it does not exist."""
    footprint = load(paths)
    if str(folder) not in footprint.made:
        save(paths, replace(footprint, made=(*footprint.made, str(folder))))


def nginx_files(host: HostPaths, app: str, own: Footprint) -> Set[str]:
    """The nginx file of every app."""
    footprints = [own, *(footprint for _, footprint in others(host, app))]
    return {footprint.nginx for footprint in footprints if footprint.nginx}


def others(host: HostPaths, app: str) -> Iterator[Tuple[str, Footprint]]:
    """The name and footprint of each other app."""
    paths = (other for other in host.known() if other.app != app and other.footprint.exists())
    return ((other.app, load(other)) for other in paths)
