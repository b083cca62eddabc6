"""Caddy: a new configuration through its admin interface."""

from pathlib import Path

from bench.proxies.ground import CERTIFICATE, COLORS, HOME, KEY, Ground

_CONF = """\
{{
    admin localhost:2019
    auto_https off
}}
http://:{port} {{
    reverse_proxy 127.0.0.1:{to}
}}
https://:{tls_port} {{
    tls {certificate} {key}
    reverse_proxy 127.0.0.1:{to}
}}
"""


class Caddy:
    name = "Caddy, caddy reload"
    unit = "switch-caddy"
    first = 8120

    def prepare(self, ground: Ground) -> None:
        ports = {"port": self.first, "tls_port": self.first + 1, "certificate": CERTIFICATE, "key": KEY}
        for color, to in zip(COLORS, ground.backends("caddy", self.first), strict=True):
            ground.write(HOME / f"caddy-{color}.conf", _CONF.format(to=to, **ports))
        homes = {"XDG_DATA_HOME": str(HOME / "caddy-data"), "XDG_CONFIG_HOME": str(HOME / "caddy-data")}
        ground.start(self.unit, "caddy", "run", *_conf("blue"), kind="notify", **homes)

    def switch(self, ground: Ground, color: str) -> None:
        ground.run("caddy", "reload", *_conf(color))

    def ledgers(self, ground: Ground) -> Path:
        return ground.path(HOME / "caddy")


def _conf(color: str) -> tuple[str, ...]:
    return "--adapter", "caddyfile", "--config", str(HOME / f"caddy-{color}.conf")
