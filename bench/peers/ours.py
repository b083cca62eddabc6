"""Teal as its user types it. The bench does not measure the build, and Teal watches nothing after the switch."""

import json
from pathlib import Path

from bench.lab import Awaited, Lab, Line, Took, teal

_PORT = 80
_TOML = """\
app = "{app}"
[build]
artifact = "app"
[server]
target = "ssh://{host}"
http_port = {port}
[run]
command = ["./app"]
[health]
path = "/healthz"
[verify]
path = "/status"
json = {{ color = "{{color}}" }}
[keep]
watch_s = 0
"""


class Teal:
    name = "Teal"

    def __init__(self, app: str = "shop", port: int = _PORT) -> None:
        self.app = app
        self.port = port

    def directory(self, lab: Lab) -> Path:
        return lab.work / f"teal-{self.app}"

    def prepare(self, lab: Lab) -> None:
        self.directory(lab).mkdir(parents=True, exist_ok=True)
        (self.directory(lab) / "teal.toml").write_text(_TOML.format(app=self.app, host=lab.host, port=self.port))
        lab.run(teal("setup"), self.directory(lab))

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        awaited = Awaited(line.lab.server.address, self.port, version)
        return line.measure(teal("deploy", "--json", "-v", "--artifact", str(file)), self.directory(line.lab), awaited)

    @staticmethod
    def ways(took: Took) -> list[str]:
        """The way in which Teal sent the file and the reason, from the output of `-v`."""
        lines = [json.loads(line) for line in took.output.splitlines()]
        return [line["text"] for line in lines if line["type"] == "note" and " at " in line["text"]]

    def status(self, line: Line) -> Took:
        return line.measure(teal("status", "--json"), self.directory(line.lab))

    def rollback(self, line: Line) -> Took:
        return line.measure(teal("rollback", "--json"), self.directory(line.lab))
