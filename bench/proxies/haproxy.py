"""HAProxy in its two ways: a map entry set through its runtime socket, and a reload that hands sockets over."""

from pathlib import Path

from bench.proxies.ground import BOTH, COLORS, HOME, Ground

_CONF = """\
global
    stats socket {home}/socket mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 300s
    timeout http-keep-alive 60s
    timeout tunnel 300s
frontend all
    bind :{port}
    bind :{tls_port} ssl crt {both} alpn h2,http/1.1
    {choice}
backend blue
    server one 127.0.0.1:{blue}
backend green
    server one 127.0.0.1:{green}
"""
_SAY = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(sys.argv[2].encode() + b"\\n")
answer = line.recv(4096).decode().strip()
sys.exit(answer or 0)
"""


class Mapped:
    name = "HAProxy, set map at its socket"
    short = "mapped"
    unit = "switch-mapped"
    first = 8130

    @property
    def home(self) -> Path:
        return HOME / f"haproxy-{self.short}"

    def prepare(self, ground: Ground) -> None:
        blue, green = ground.backends(self.short, self.first)
        ground.write(self.home / "live.map", "live blue\n")
        for color in COLORS:
            places = {"home": self.home, "both": BOTH, "choice": self._choice(color), "blue": blue, "green": green}
            conf = _CONF.format(port=self.first, tls_port=self.first + 1, **places)
            ground.write(self.home / f"{color}.cfg", conf)
        ground.path(self.home / "current.cfg").symlink_to("blue.cfg")
        ground.start(self.unit, "haproxy", "-Ws", "-f", str(self.home / "current.cfg"), kind="notify")

    def switch(self, ground: Ground, color: str) -> None:
        say = f"set map {self.home}/live.map live {color}"
        ground.run("python3", "-c", _SAY, str(self.home / "socket"), say)

    def ledgers(self, ground: Ground) -> Path:
        return ground.path(HOME / self.short)

    def _choice(self, color: str) -> str:
        return f"use_backend %[str(live),map({self.home}/live.map,blue)]"


class HandedOver(Mapped):
    name = "HAProxy, reload"
    short = "handed-over"
    unit = "switch-handed-over"
    first = 8140

    def switch(self, ground: Ground, color: str) -> None:
        beside = ground.path(self.home / "beside")
        beside.symlink_to(f"{color}.cfg")
        beside.rename(ground.path(self.home / "current.cfg"))
        ground.run("systemctl", "kill", "--kill-whom=main", "--signal=USR2", f"{self.unit}.service")

    def _choice(self, color: str) -> str:
        return f"default_backend {color}"
