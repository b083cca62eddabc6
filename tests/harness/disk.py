"""A server's own disk: a file with ext4 in it, on which a power cut leaves exactly what was synced.

The mount options keep unsynced data in memory. By default ext4 would sync every five seconds (`commit`), and after a
rename without fsync (`auto_da_alloc`), and so hide a missing fsync.
"""

import fcntl
import shutil
import struct
from pathlib import Path

from harness.calls import call

BYTES = 1024**3  # a sparse file: it takes only the space that was written
FAILS = 0x8004587D  # _IOR('X', 125, __u32), EXT4_IOC_SHUTDOWN
AT_ONCE = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH: does not write the journal first
OPTIONS = "loop,commit=300,noauto_da_alloc"


def make(file: Path) -> None:
    with file.open("wb") as made:
        made.truncate(BYTES)
    call("mkfs.ext4", "-q", "-J", "size=64", str(file))


def mount(file: Path, where: Path) -> None:
    """Mounts the disk. After a power cut, ext4 replays its journal now, as during a boot."""
    where.mkdir(exist_ok=True)
    call("mount", "-o", OPTIONS, str(file), str(where))


def sync(where: Path) -> None:
    call("sync", "--file-system", str(where))


def fail(where: int) -> None:
    """Shuts the file system down: no later write reaches the disk. `where` is a file descriptor of its root."""
    fcntl.ioctl(where, FAILS, AT_ONCE)


def copy(file: Path, to: Path) -> None:
    call("cp", "--sparse=always", str(file), str(to))


def why_not() -> str | None:
    """Says why servers on this host cannot have their own disk; None if they can."""
    if not shutil.which("mkfs.ext4"):
        return "mkfs.ext4 not found: apt-get install -y e2fsprogs"
    probe = "mount -t tmpfs tmpfs /mnt && truncate -s 16M /mnt/disk && mkfs.ext4 -q /mnt/disk && mkdir /mnt/on && "
    probe += f"mount -o {OPTIONS} /mnt/disk /mnt/on"
    try:
        call("unshare", "--mount", "sh", "-c", probe)
    except AssertionError as error:
        return f"no disks in files here: {error}"
    return None
