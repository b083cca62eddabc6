"""What tests drive Teal with: worlds on this machine, and booted Debian servers.

`world` has the state root, the apps and the commands of one test; `background` has commands, visitors and strangers
that run beside a test. `forks` runs a command as a fork (`forking`) that has imported the client, with a server side
that was compiled before (`compiled`). `terminal`, `tiny` and `pocketbase` are a terminal and programs to deploy.

`booted_server` boots Debian 12 and 13 in a second each: a container of `systemd-nspawn --boot` on an overlay above a
cached `image`. A server has `resources` (address, cgroup, network namespace, files), maybe a `disk` of its own, and a
`keeper` that removes the server however the test ends; `power` speaks to the keeper. A server reaches only this host
and, through `apt_proxy`, the Debian mirror. `requirements` says what this host lacks.

`ssh_access`, `ssh_line` and `deploy_keys` are ways to a server; `visitors`, `load_app` and `switches` put load on it;
`listing` compares its files; `memory` limits its memory.
"""

from harness.booted_server import Server, boot, server
from harness.disk import why_not as why_no_disk
from harness.requirements import why_not

__all__ = ["Server", "boot", "server", "why_no_disk", "why_not"]
