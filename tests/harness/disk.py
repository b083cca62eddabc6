"""A disk of a server's own: a file with ext4 in it, on which a power cut leaves what was synced and nothing else.

What is written is kept in memory as long as nobody syncs it: ext4 would do so by itself every five seconds
(`commit`), and for programs that rename without a sync (`auto_da_alloc`). So a sync that is missing is missed.
"""

import fcntl
import shutil
import struct
from pathlib import Path

from harness.calls import call

BYTES = 1024**3  # sparse: it takes what is in it
FAILS = 0x8004587D  # _IOR('X', 125, __u32), EXT4_IOC_SHUTDOWN
AT_ONCE = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH: what is not in its journal will never be
OPTIONS = "loop,commit=300,noauto_da_alloc"


def make(file: Path) -> None:
    with file.open("wb") as made:
        made.truncate(BYTES)
    call("mkfs.ext4", "-q", "-J", "size=64", str(file))


def mount(file: Path, where: Path) -> None:
    """After a power cut this replays ext4's journal, as a boot does."""
    where.mkdir(exist_ok=True)
    call("mount", "-o", OPTIONS, str(file), str(where))


def sync(where: Path) -> None:
    call("sync", "--file-system", str(where))


def fail(where: int) -> None:
    """From this moment on nothing more reaches it. `where`: a descriptor of its top."""
    fcntl.ioctl(where, FAILS, AT_ONCE)


def copy(file: Path, to: Path) -> None:
    call("cp", "--sparse=always", str(file), str(to))


def why_not() -> str | None:
    """Why no server here can have a disk of its own."""
    if not shutil.which("mkfs.ext4"):
        return "mkfs.ext4 not found: apt-get install -y e2fsprogs"
    probe = "mount -t tmpfs tmpfs /mnt && truncate -s 16M /mnt/disk && mkfs.ext4 -q /mnt/disk && mkdir /mnt/on && "
    probe += f"mount -o {OPTIONS} /mnt/disk /mnt/on"
    try:
        call("unshare", "--mount", "sh", "-c", probe)
    except AssertionError as error:
        return f"no disks in files here: {error}"
    return None
