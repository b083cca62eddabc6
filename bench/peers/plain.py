"""Tools that copy the file and nothing more. They start no program, and nothing becomes live."""

import gzip
from pathlib import Path

from bench.lab import Lab, Line, Took

_THERE = "/srv/plain/app"


class Floor:
    """A login that does nothing: the lower bound for all other ways."""

    name = "ssh HOST true"

    def prepare(self, lab: Lab) -> None:
        pass

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        return line.measure(["ssh", line.lab.host, "true"])


class Scp:
    name = "scp"

    def prepare(self, lab: Lab) -> None:
        lab.on_server("mkdir", "-p", str(Path(_THERE).parent))

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        return line.measure(["scp", "-q", str(file), f"{line.lab.host}:{_THERE}"])


class PackedScp:
    """Copies a compressed file. The bench does not measure the compression."""

    name = "scp, gzipped"

    def prepare(self, lab: Lab) -> None:
        lab.on_server("mkdir", "-p", str(Path(_THERE).parent))

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        packed = line.lab.work / "app.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        return line.measure(["scp", "-q", str(packed), f"{line.lab.host}:{_THERE}.gz"])


class Rsync:
    """Copies onto the previous version."""

    name = "rsync -z"

    def prepare(self, lab: Lab) -> None:
        lab.on_server("mkdir", "-p", str(Path(_THERE).parent))

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        return line.measure(["rsync", "-z", str(file), f"{line.lab.host}:{_THERE}-rsync"])
