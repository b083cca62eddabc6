"""What this host needs to boot test servers."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from harness import image
from harness.resources import cgroup2

PACKAGES = {  # what the harness uses, and the package that has it
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


@functools.cache
def why_not() -> str | None:
    """Says why no test server can boot here, for `pytest.skip`; None if one can."""
    if os.geteuid() != 0:
        return "test servers need root"
    missing = [name for name in PACKAGES if not (shutil.which(name) or Path(name).is_file())]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        return f"{', '.join(missing)} not found: apt-get install -y {packages}"
    return no_cgroup() or no_namespaces() or no_image()


def no_cgroup() -> str | None:
    try:
        probe = cgroup2() / f"teal-probe-{os.getpid()}"
        probe.mkdir()
        killable = (probe / "cgroup.kill").exists()
        probe.rmdir()
    except OSError as error:
        return f"no cgroup of their own for test servers: {error}"
    return None if killable else "test servers need cgroup.kill (Linux 5.14)"


def no_namespaces() -> str | None:
    probe = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/a /mnt/b /mnt/c && mount -t overlay overlay /mnt/c -o "
    probe += "lowerdir=/etc,upperdir=/mnt/a,workdir=/mnt/b"
    done = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", probe], capture_output=True, check=False)
    return f"no namespaces and overlays here: {done.stderr.decode().strip()}" if done.returncode else None


def no_image() -> str | None:
    missing = [str(debian) for debian in image.SUITES if not image.path(debian).exists()]
    if missing and not image.mirror_answers():
        return f"no image of Debian {' and '.join(missing)} is cached, and {image.mirror()} does not answer"
    return None
