"""Teal: `teal rollback` switches the link that nginx checks on every request, and verifies the switch through nginx."""

from pathlib import Path

from bench.proxies.ground import CERTIFICATE, COLORS, KEY, Ground
from harness.load_app import loaded_app
from harness.world import App, at_server


class Teal:
    """Teal with its defaults, but without nginx's log of every request, because no other proxy here has such a log."""

    name = "Teal"
    app = "load"
    unit = "nginx.service"
    first = 8150
    directives: tuple[str, ...] = ("access_log off;",)
    command: tuple[str, ...] = ("./program",)

    def prepare(self, ground: Ground) -> None:
        world = at_server(ground.work / self.app, ground.server, ground.ssh)
        port = {"http_port": self.first}
        tls, run = (self.first + 1, CERTIFICATE, KEY), {"data": True, "command": [*self.command]}
        self._app: App = loaded_app(world, tls, self.app, self.directives, server=port, run=run)
        self._app.teal("setup").ok()
        self._release = {color: self._deployed(color) for color in COLORS}
        self.switch(ground, "blue")

    def switch(self, ground: Ground, color: str) -> None:
        self._app.teal("rollback", self._release[color]).ok()

    def ledgers(self, ground: Ground) -> Path:
        return ground.path(f"/var/lib/{self.app}")

    def _deployed(self, color: str) -> str:
        program = self._app.directory / "program"
        program.write_bytes(program.read_bytes() + color.encode())
        done = self._app.deploy().ok().result
        assert done["color"] == color, done
        return str(done["release"])


class OnSockets(Teal):
    """Its colors listen on unix sockets: the row shows what a request then costs."""

    name = "Teal, on unix sockets"
    app = "onsockets"
    first = 8210
    command = ("./program", "{socket}")


class ByHand(Teal):
    """Only the switch, like the commands of the other proxies: no client on this machine, no probe, no verification."""

    name = "Teal's link, turned by hand"
    app = "byhand"
    first = 8190

    def switch(self, ground: Ground, color: str) -> None:
        link = ground.path(f"/var/lib/teal/{self.app}/live")
        beside = link.with_name("beside")
        beside.symlink_to(color)
        beside.rename(link)


class _Without(Teal):
    """The same file without some of its lines: the row shows what the lines cost."""

    lines_begin: str
    lines: int

    def prepare(self, ground: Ground) -> None:
        super().prepare(ground)
        (file,) = ground.path("/etc/nginx").rglob(f"teal-{self.app}.conf")
        lines = file.read_text().splitlines(keepends=True)
        remaining = [line for line in lines if not line.lstrip().startswith(self.lines_begin)]
        assert len(remaining) == len(lines) - self.lines, "the file has other lines now"
        file.write_text("".join(remaining))
        ground.run("nginx", "-s", "reload")


class Unasked(_Without):
    """Without the checks by which nginx chooses the color and the watch."""

    name = "Teal's file without its questions"
    app = "unasked"
    first = 8180
    lines_begin, lines = "if (-f ", 2


class NoFallback(_Without):
    """Without the way to the standby: no color stands in for the live one. `keep.fallback = false` leaves the way in
    the file, and only takes the link away.
    """

    name = "Teal's file without the fallback"
    app = "nofallback"
    first = 8200
    lines_begin, lines = "error_page 502 ", 1


class Logged(Teal):
    """The log of every request that a distribution's nginx writes."""

    name = "Teal, with nginx's access log"
    app = "logged"
    first = 8160
    directives = ()
