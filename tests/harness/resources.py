"""The resources of one server: its number decides its address, cgroup, network namespace and files."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import disk
from harness.calls import call

LOCKS = Path("/run/teal-servers")  # one file for each number, locked by its server, with the server's directory in it
MOST_SERVERS = 250


@dataclass(frozen=True)
class Resources:
    number: int
    directory: Path

    @property
    def address(self) -> str:
        return f"10.77.{self.number}.2"

    @property
    def name(self) -> str:
        """The server's name, for people and for `ssh`."""
        return self.directory.name

    @property
    def id(self) -> str:
        """The name of the cgroup, of the network namespace, and of the host's end of the cable."""
        return f"teal-{self.number}"

    @property
    def root(self) -> Path:
        """What the server sees as `/`: the overlay of `changes` above the image."""
        return self.directory / "root"

    @property
    def disk(self) -> Path:
        """What the server writes: a directory, or the mounted `disk_file`."""
        return self.directory / "disk"

    @property
    def disk_file(self) -> Path:
        return self.directory / "disk.ext4"

    @property
    def cut_disk(self) -> Path:
        """The disk as the last power cut left it."""
        return self.directory / "after-cut.ext4"

    @property
    def changes(self) -> Path:
        return self.disk / "changes"

    @property
    def scratch(self) -> Path:
        """The work directory of the overlay."""
        return self.disk / "scratch"

    @property
    def cgroup(self) -> Path:
        return cgroup2() / self.id

    @property
    def namespace(self) -> Path:
        return Path("/run/netns") / self.id

    def make(self, image: Path, own_disk: bool = False) -> None:
        self.remove()  # a test may have been killed while it made the server
        for directory in (self.root, self.disk):
            directory.mkdir(parents=True)
        if own_disk:
            disk.make(self.disk_file)
            disk.mount(self.disk_file, self.disk)
        self.lay(image)
        with locked("network"):  # the first two `ip netns add` must not run at the same time
            call("ip", "netns", "add", self.id)
        call("ip", "link", "add", self.id, "type", "veth", "peer", "name", "host0", "netns", self.id)
        call("ip", "addr", "add", f"10.77.{self.number}.1/30", "dev", self.id)
        call("ip", "link", "set", self.id, "up")
        call("ip", "-n", self.id, "addr", "add", f"{self.address}/30", "dev", "host0")
        for interface in ("lo", "host0"):
            call("ip", "-n", self.id, "link", "set", interface, "up")

    def image(self) -> Path:
        """The image below the overlay."""
        _, _, layers = mounts()[self.root].partition("lowerdir=")
        return Path(layers.partition(",")[0])

    def lay(self, image: Path) -> None:
        for directory in (self.changes, self.scratch):
            directory.mkdir(exist_ok=True)
        layers = f"lowerdir={image},upperdir={self.changes},workdir={self.scratch}"
        call("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))

    def copy(self) -> None:
        """Replaces the overlay by a copy of everything that it shows."""
        whole = self.disk / "whole"
        call("cp", "-a", str(self.root), str(whole))
        call("umount", str(self.root))
        call("mount", "--bind", str(whole), str(self.root))

    def cut(self) -> None:
        """Kills all processes, then shuts the disk down, so that no process sees the disk fail."""
        top = os.open(self.disk, os.O_RDONLY)
        try:
            (self.cgroup / "cgroup.kill").write_text("1")
            disk.fail(top)
        finally:
            os.close(top)

    def change_disk(self, image: Path) -> None:
        """Mounts a copy of the cut disk, because another server may still hold the original mounted."""
        self.unmount()
        self.disk_file.rename(self.cut_disk)
        disk.copy(self.cut_disk, self.disk_file)
        disk.mount(self.disk_file, self.disk)
        self.lay(image)

    def unmount(self) -> None:
        for mounted in (self.root, self.disk):
            if mounted in mounts():
                call("umount", "--lazy", str(mounted))

    def kill(self) -> None:
        """Kills all processes of the server at once, as a power failure does."""
        with contextlib.suppress(FileNotFoundError):
            (self.cgroup / "cgroup.kill").write_text("1")
            deadline = time.monotonic() + 60
            while "populated 1" in (self.cgroup / "cgroup.events").read_text():
                assert time.monotonic() < deadline, f"{self.cgroup} does not get empty"
                time.sleep(0.01)
            for directory, _, _ in os.walk(self.cgroup, topdown=False):
                Path(directory).rmdir()

    def remove(self) -> None:
        """Removes the resources, and whatever a boot has left of them."""
        self.kill()
        if Path("/sys/class/net", self.id).exists():
            call("ip", "link", "delete", self.id)
        if self.namespace.exists():
            call("ip", "netns", "delete", self.id)
        self.unmount()
        with contextlib.suppress(FileNotFoundError):
            self.root.rmdir()
        call("rm", "-rf", str(self.disk))  # a hostile app nests deeper than Python may recurse
        for file in (self.disk_file, self.cut_disk, self.directory / ".#root.lck"):
            file.unlink(missing_ok=True)


def claim(work: Path, debian: int) -> tuple[Resources, int]:
    """Returns the first free resources, and the descriptor whose lock holds them."""
    sweep()
    for number in range(MOST_SERVERS):
        lock = hold(number)
        if lock is None:
            continue
        if call("ip", "-4", "route", "show", "root", f"10.77.{number}.0/24"):  # a network of somebody else
            os.close(lock)
            continue
        resources = Resources(number, work.resolve() / f"debian{debian}-{number}")
        os.pwrite(lock, str(resources.directory).encode(), 0)
        return resources, lock
    raise RuntimeError(f"{MOST_SERVERS} test servers already")


def sweep() -> None:
    """Removes what killed tests have left behind."""
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    for file in LOCKS.glob("[0-9]*"):
        lock = hold(int(file.name))
        if lock is not None:
            os.close(lock)


def hold(number: int) -> int | None:
    """Locks a number and removes what a dead server left there. Returns None while a server uses the number."""
    file = LOCKS / str(number)
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if directory := file.read_text():
        Resources(number, Path(directory)).remove()
        os.truncate(lock, 0)
    return lock


@contextmanager
def locked(name: str) -> Iterator[None]:
    with (LOCKS / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cgroup2() -> Path:
    """The mount point of cgroup v2."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise FileNotFoundError("no cgroup2 is mounted")


def mounts() -> dict[Path, str]:
    """The mount points with their options, from /proc, because a failed file system cannot be asked."""
    rows = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return {Path(where): options for _, where, _, options, *_ in rows}
