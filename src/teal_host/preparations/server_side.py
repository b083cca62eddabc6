"""The server side itself, which only root can change: units start programs with it, and deploy keys run it."""

import stat
from functools import partial
from typing import Iterator

from teal_host.ground import archive, files
from teal_host.ground.paths import HostPaths
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.wire.sources import VERSION, digest, is_older


def changes(intent: Intent) -> Iterator[SetupChange]:
    host = intent.app.host.paths
    own = digest(archive.sources())
    installed = archive.digest(host.installed)
    if installed == own and _is_for_root_alone(host):
        return
    version = archive.version(host.installed)
    does, downgrades = "install" if installed is None else "replace", is_older(VERSION, version)
    of = f"; it is of Teal {version}, and this one of the older Teal {VERSION}" if downgrades else ""
    text = f"{does} the server side, {host.installed} (sources {own[:12]}){of}"
    yield SetupChange(text, partial(_install, host), downgrades=downgrades)


def _is_for_root_alone(host: HostPaths) -> bool:
    status = files.status_of(host.installed, follow=False)
    return status is not None and (status.st_uid, status.st_mode) == (0, stat.S_IFREG | 0o755)


def _install(host: HostPaths) -> None:
    files.make_dir(host.installed.parent)
    files.write(host.installed, archive.pack(archive.sources()), mode=0o755)
