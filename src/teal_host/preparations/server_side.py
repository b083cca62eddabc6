"""The server side itself, installed for root alone to change: units start programs with it, deploy keys run it."""

import stat
from functools import partial
from typing import Iterator

from teal_host import files, installed
from teal_host.act import Act
from teal_host.paths import HostPaths
from teal_host.preparations.base import Intent
from teal_host.wire.sources import digest


def acts(intent: Intent) -> Iterator[Act]:
    host = intent.app.host.paths
    mine = digest(installed.sources())
    there = installed.digest(host.installed)
    if there == mine and _is_for_root_alone(host):
        return
    says = "install" if there is None else "replace"
    yield Act(f"{says} the server side, {host.installed} (sources {mine[:12]})", partial(_install, host))


def _is_for_root_alone(host: HostPaths) -> bool:
    told = host.installed.lstat()
    return told.st_uid == 0 and told.st_mode == stat.S_IFREG | 0o755


def _install(host: HostPaths) -> None:
    files.make_dir(host.installed.parent)
    files.write(host.installed, installed.archive(installed.sources()), mode=0o755)
