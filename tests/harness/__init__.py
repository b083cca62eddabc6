"""Real servers for tests: Debian 12 and 13 with systemd, sshd and python3, booted side by side in a second each.

A server is a container of `systemd-nspawn --boot` on an overlay above a cached image. It reaches nothing but this
host and, through apt, the Debian mirror. However its test ends, it ends too (see keeper.py).
"""

from harness.booted_server import Server, boot, server
from harness.disk import why_not as why_no_disk
from harness.requirements import why_not

__all__ = ["Server", "boot", "server", "why_no_disk", "why_not"]
