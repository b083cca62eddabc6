"""A real certificate authority for the tests: Pebble, with its name server, on an address that a booted server reaches.

Both are Go programs, built once a machine. Without Go, or a way to its module proxy, a test is skipped.
"""

import functools
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.booted_server import Server
from harness.image import cache, locked
from harness.world import PATIENCE_S, free_ports

VERSION = "v2.10.3"
PACKAGES = [f"github.com/letsencrypt/pebble/v2/cmd/{name}@{VERSION}" for name in ("pebble", "pebble-challtestsrv")]
BUILD_S = 600


@functools.cache
def programs() -> "Path | str":
    """The directory with both programs, or the reason why there is none."""
    folder = cache() / f"pebble-{VERSION}"
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    with locked(folder.with_suffix(".lock")):
        if all((folder / name).exists() for name in ("pebble", "pebble-challtestsrv")):
            return folder
        if go is None:
            return "no Go, for Pebble: https://go.dev/dl/"
        environment = {"PATH": f"{Path(go).parent}:/usr/bin:/bin", "GOBIN": str(folder), "GOPATH": str(folder / "go")}
        environment |= {"GOCACHE": str(folder / "cache"), "GOFLAGS": "-modcacherw", **_passed_on()}
        done = subprocess.run(
            [go, "install", *PACKAGES], env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        for rest in ("go", "cache"):
            shutil.rmtree(folder / rest, ignore_errors=True)
        return folder if done.returncode == 0 else f"go install of Pebble fails: {done.stderr[-300:]}"


def _passed_on() -> dict[str, str]:
    """How this machine reaches the module proxy."""
    names = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "HOME")
    return {name: os.environ[name] for name in names if name in os.environ}


@dataclass
class Authority:
    """`directory` is where a client of ACME begins, `ca` the file that verifies it, `root` what verifies its
    certificates."""

    directory: str
    ca: Path
    root: Path
    _management: str
    _pebble: "subprocess.Popen[bytes]"

    def address(self, name: str, address: str) -> None:
        """What the authority's name server says of a name."""
        self._tell("clear-a", {"host": name})
        self._tell("add-a", {"host": name, "addresses": [address]})

    def stop(self) -> None:
        self._pebble.kill()
        self._pebble.wait()

    def _tell(self, what: str, words: dict[str, object]) -> None:
        body = json.dumps(words).encode()
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self._management}/{what}", body, 30):
            pass


@contextmanager
def authority(server: Server, work: Path) -> Iterator[Authority]:
    """An authority that reaches the names of this server, and that this server reaches."""
    folder = programs()
    if isinstance(folder, str):
        pytest.skip(folder)
    work.mkdir(parents=True, exist_ok=True)
    here = server.address.rpartition(".")[0] + ".1"
    acme, roots, dns, management = free_ports(4)
    ca = _certificate(work, here)
    config = {
        "listenAddress": f"{here}:{acme}",
        "managementListenAddress": f"{here}:{roots}",
        "certificate": str(ca),
        "privateKey": str(work / "ca-key.pem"),
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "domainBlocklist": ["refused.test"],
        "retryAfter": {"authz": 1, "order": 1},
    }
    (work / "pebble.json").write_text(json.dumps({"pebble": config}))
    names = [str(folder / "pebble-challtestsrv"), "-defaultIPv4", server.address, "-defaultIPv6", "", "-http01", ""]
    names += ["-https01", "", "-tlsalpn01", "", "-doh", "", "-dnsserver", f"{here}:{dns}"]
    names += ["-management", f"{here}:{management}"]
    pebble = [str(folder / "pebble"), "-config", str(work / "pebble.json"), "-dnsserver", f"{here}:{dns}"]
    with _running(names, work / "names.log") as _, _running(pebble, work / "pebble.log") as process:
        root = work / "root.pem"
        root.write_bytes(_answer(f"https://{here}:{roots}/roots/0"))
        yield Authority(f"https://{here}:{acme}/dir", ca, root, f"http://{here}:{management}", process)


def _certificate(work: Path, address: str) -> Path:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=the test's authority", "-addext", f"subjectAltName=IP:{address}"]
    argv += ["-out", str(work / "ca.pem"), "-keyout", str(work / "ca-key.pem")]
    subprocess.run(argv, capture_output=True, check=True, timeout=60)
    return work / "ca.pem"


@contextmanager
def _running(argv: list[str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _answer(url: str) -> bytes:
    """Waits until the authority answers. What it shows here is believed: it is this test's own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener, deadline = urllib.request.build_opener(*handlers), time.monotonic() + PATIENCE_S
    while True:
        try:
            with opener.open(url, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)
