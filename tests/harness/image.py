"""Bare Debian images: the harness builds them once a month, unpacks them in the cache, and never writes to them."""

import datetime
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUITES = {12: "bookworm", 13: "trixie"}
BARE = ("systemd", "systemd-sysv", "openssh-server", "python3")
FILTER = ("nftables",)  # beside other packages, so that not every setup installs it
MIRROR = "http://deb.debian.org/debian"  # if the host names no other mirror
APT_PROXY = 3142  # on the server's own loopback; see apt_proxy.py
RECIPE = 1  # increase after a change of `customize`


def image(debian: int, packages: Sequence[str] = ()) -> Path:
    """The root directory of a bare Debian with these packages, built on first use."""
    packages = [*packages, *(FILTER if packages else ())]
    root = path(debian, packages)
    with locked(root.with_suffix(".lock")):
        if not root.exists():
            forget_old_ones(debian)
            make(root, debian, packages)
    return root


def path(debian: int, packages: Sequence[str] = ()) -> Path:
    """The path of this month's image, whose package lists still fit the mirror."""
    what = f"{RECIPE} {mirror()} {' '.join([*BARE, *sorted(packages)])}"
    key = hashlib.sha256(what.encode()).hexdigest()[:12]
    return cache() / f"debian{debian}-{month()}-{key}"


def month() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m")


def cache() -> Path:
    """The cache directory, closed to all but root, because the images hold old set-user-id programs."""
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal/servers"
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock, so that one pytest worker builds an image while the others wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(root: Path, debian: int, packages: Sequence[str]) -> None:
    partial = root.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    include = ",".join([*BARE, *sorted(packages)])
    options = ["--quiet", "--variant=minbase", "--format=directory", "--skip=cleanup/apt/lists", f"--include={include}"]
    options += ['--aptopt=Acquire::Retries "5"', '--aptopt=Acquire::Languages "none"']
    try:
        finish_or_stop("mmdebstrap", *options, SUITES[debian], str(partial), mirror())
        customize(partial, SUITES[debian])
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def finish_or_stop(*argv: str) -> None:
    """Runs a program. If this process is told to stop, the program may clean up first."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as program:
        try:
            code = program.wait()
        except BaseException:
            program.terminate()
            raise
    if code:
        raise subprocess.CalledProcessError(code, argv)


def customize(root: Path, suite: str) -> None:
    """Removes what belongs to this host, and adds the only way to the mirror."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/apt/apt.conf.d/99mmdebstrap").unlink()
    (root / "etc/apt/apt.conf.d/90proxy").write_text(f'Acquire::http::Proxy "http://127.0.0.1:{APT_PROXY}";\n')
    (root / "etc/apt/sources.list").write_text(f"deb http://{mirror().partition('://')[2]} {suite} main\n")
    (root / "etc/resolv.conf").write_text("# a test server asks no name server\n")


def forget_old_ones(debian: int) -> None:
    """Removes the images of other months, unless a server runs on one."""
    mounts = Path("/proc/self/mounts").read_text()
    for old in cache().glob(f"debian{debian}-*"):
        if old.is_dir() and not old.name.startswith(f"debian{debian}-{month()}-") and f"lowerdir={old}," not in mounts:
            shutil.rmtree(old)
            old.with_suffix(".lock").unlink(missing_ok=True)


@functools.cache
def mirror() -> str:
    """The Debian mirror that this host uses."""
    debian = ("Created-By: Packages", "Origin: Debian", "Label: Debian")
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *debian]
    uris = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    return next((uri.rstrip("/") for uri in uris if uri.startswith(("http://", "https://"))), MIRROR)


def mirror_answers() -> bool:
    request = urllib.request.Request(f"{mirror()}/dists/{SUITES[max(SUITES)]}/InRelease", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except OSError:
        return False
