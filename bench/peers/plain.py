"""What copies the file and nothing more: nothing is started, nothing is live."""

import gzip
from pathlib import Path

from bench.lab import Lab, Line, Took

_THERE = "/srv/plain/app"


class Floor:
    """A login that does nothing: what everything else is measured against."""

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
    """Compressed beforehand, which is not measured."""

    name = "scp, gzipped"

    def prepare(self, lab: Lab) -> None:
        lab.on_server("mkdir", "-p", str(Path(_THERE).parent))

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        packed = line.lab.work / "app.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        return line.measure(["scp", "-q", str(packed), f"{line.lab.host}:{_THERE}.gz"])


class Rsync:
    """Onto the version before."""

    name = "rsync -z"

    def prepare(self, lab: Lab) -> None:
        lab.on_server("mkdir", "-p", str(Path(_THERE).parent))

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        return line.measure(["rsync", "-z", str(file), f"{line.lab.host}:{_THERE}-rsync"])
