"""The program under the load, in several versions, and the files that a proxy needs for TLS."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

from bench.load.place import HOST
from bench.requirements import find_go, missing

_SOURCE = Path(__file__).parent / "backend"
_BUILD = ("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o")
_CERTIFICATE = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")


def why_not() -> str | None:
    """Says why this machine cannot run the load, or returns None."""
    return "; ".join(missing("go", "openssl")) or None


def write(path: Path, version: str) -> Path:
    """Writes a version: the same program with other bytes at its end, which the kernel does not load."""
    path.write_bytes(_built() + version.encode())
    path.chmod(0o755)
    return path


def certificate(folder: Path) -> tuple[Path, Path]:
    """Makes a self-signed certificate for HOST, and its key."""
    made, key = folder / "load.crt", folder / "load.key"
    named = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")
    subprocess.run(["openssl", *_CERTIFICATE, *named, "-out", made, "-keyout", key], check=True, capture_output=True)
    return made, key


@functools.cache
def _built() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return build(_SOURCE, Path(folder, "backend")).read_bytes()


def build(source: Path, made: Path) -> Path:
    """Builds the program of the load, for any Linux."""
    go = find_go()
    assert go
    env = {**os.environ, "CGO_ENABLED": "0", "GOOS": "linux"}
    subprocess.run([go, *_BUILD, str(made), "."], cwd=source, env=env, check=True)
    return made
