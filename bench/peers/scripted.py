"""Three scripts for one server, as people write them: five scp, two ssh, `sleep 2`, a link, and a reload of nginx."""

from pathlib import Path

from bench.lab import Awaited, Lab, Line, Took

_SCRIPTS = Path(__file__).parent / "scripts"
_PORT = 8200


class Scripts:
    name = "three scripts"

    def prepare(self, lab: Lab) -> None:
        lab.on_server("mkdir", "-p", "/srv/scripts")

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        awaited = Awaited(line.lab.server.address, _PORT, version)
        return line.measure([str(_SCRIPTS / "ci.sh"), line.lab.host, str(file)], awaited=awaited)
