"""What the deploys of keys may ask for, agreed at setup: an admin's teal.toml decides, never what a key sends."""

import os
from typing import Iterator

from teal_host.ground.paths import AppPaths
from teal_host.wire.app import AppSpec, Health, Keep
from teal_host.wire.values import dataclass

_SPARE_PART, _SPARE_BYTES = 20, 512 * 1024 * 1024
_HEALTH, _KEEP = Health(), Keep()


@dataclass(frozen=True)
class KeyLimits:
    """How long a deploy may hold the lock of the app, and how many releases may fill the disk.

    teal.toml's own defaults are always allowed, so an agreement names more only where teal.toml did.
    """

    deadline_s: float = _HEALTH.deadline_s
    watch_s: float = _KEEP.watch_s
    drain_s: float = _KEEP.drain_s
    releases: int = _KEEP.releases

    def exceeded(self, spec: AppSpec) -> Iterator[str]:
        """Each value that is more than was agreed, with both."""
        wanted = _wanted(spec)
        for name, key in _NAMES.items():
            agreed, value = getattr(self, name), getattr(wanted, name)
            if value > agreed:
                yield f"{key}: agreed {agreed:g}, in teal.toml {value:g}"


def spare(paths: AppPaths) -> int:
    """The disk is everybody's, and a key's upload leaves so many bytes of it free."""
    disk = os.statvfs(paths.releases if paths.releases.is_dir() else paths.home)
    return min(disk.f_blocks * disk.f_frsize // _SPARE_PART, _SPARE_BYTES)


_NAMES = {
    "deadline_s": "[health] deadline_s",
    "watch_s": "[keep] watch_s",
    "drain_s": "[keep] drain_s",
    "releases": "[keep] releases",
}


def of(spec: AppSpec) -> KeyLimits:
    least, wanted = KeyLimits(), _wanted(spec)
    return KeyLimits(**{name: max(getattr(least, name), getattr(wanted, name)) for name in _NAMES})


def _wanted(spec: AppSpec) -> KeyLimits:
    return KeyLimits(spec.health.deadline_s, spec.keep.watch_s, spec.keep.drain_s, spec.keep.releases)
