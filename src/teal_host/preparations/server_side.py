"""The server side itself, installed for root alone to change: units start programs with it, deploy keys run it."""

import stat
from functools import partial
from typing import Iterator

from teal_host.ground import archive, files
from teal_host.ground.paths import HostPaths
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.wire.sources import digest


def acts(intent: Intent) -> Iterator[SetupChange]:
    host = intent.app.host.paths
    mine = digest(archive.sources())
    there = archive.digest(host.installed)
    if there == mine and _is_for_root_alone(host):
        return
    says = "install" if there is None else "replace"
    yield SetupChange(f"{says} the server side, {host.installed} (sources {mine[:12]})", partial(_install, host))


def _is_for_root_alone(host: HostPaths) -> bool:
    told = host.installed.lstat()
    return told.st_uid == 0 and told.st_mode == stat.S_IFREG | 0o755


def _install(host: HostPaths) -> None:
    files.make_dir(host.installed.parent)
    files.write(host.installed, archive.pack(archive.sources()), mode=0o755)
