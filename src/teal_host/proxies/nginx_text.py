"""The text of nginx files, from validated values only. Pure: the same route gives the same text."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Sequence

from teal_host.errors import BadRequest
from teal_host.proxies.base import ANSWERED_HEADER, Route

_FORBIDDEN_IN_PATHS = set("$\"\\*?[]{};'`")

_SITE = Template("""\
# ${app}: written by Teal from its teal.toml; a change by hand is overwritten when the route changes.
# Which color serves is asked of one file at every request, so a switch needs no reload.

upstream teal_${app}_blue  { server 127.0.0.1:${blue};  keepalive 32; keepalive_timeout 4s; }
upstream teal_${app}_green { server 127.0.0.1:${green}; keepalive 32; keepalive_timeout 4s; }

map $$http_upgrade $$teal_${name}_connection { default upgrade; "" ""; }
map $$http_host    $$teal_${name}_host       { default $$http_host; "" $$host; }
map $$http_x_teal_probe $$teal_${name}_answered { default ""; "${token}" $$upstream_addr; }

server {
    ${listens}server_name ${names};

    open_file_cache off;
    client_max_body_size 100m;

    set $$teal_color blue;
    if (-f ${marker}) { set $$teal_color green; }

    location / {
        proxy_pass http://teal_${app}_$$teal_color;
        proxy_http_version 1.1;
        proxy_connect_timeout 5s;
        proxy_read_timeout 300s;
        proxy_next_upstream error;
        proxy_set_header Host $$teal_${name}_host;
        proxy_set_header Connection $$teal_${name}_connection;
        proxy_set_header Upgrade $$http_upgrade;
        proxy_set_header X-Forwarded-For $$remote_addr;
        proxy_set_header X-Forwarded-Proto $$scheme;
        proxy_set_header X-Forwarded-Host $$teal_${name}_host;
        proxy_set_header X-Real-IP $$remote_addr;
        proxy_set_header X-Teal-Probe "";
        proxy_hide_header ${answered_header};
        add_header ${answered_header} $$teal_${name}_answered always;
    }

    location = /.teal-${token} {
        access_log off;
        default_type text/plain;
        return 200 "${generation}";
    }
}
""")

_MAIN = Template("""\
# The nginx of Teal's local apps: written by Teal, started without root, ended with the last app.
daemon on;
${user}worker_processes auto;
pid ${pid};
error_log ${log} warn;
worker_rlimit_nofile ${files};
events { worker_connections ${connections}; }
http {
    access_log off;
    server_tokens off;
    ${lingering}keepalive_requests 100000;
    server_names_hash_bucket_size 512;
    variables_hash_bucket_size 256;
    map_hash_bucket_size 256;
    client_body_temp_path ${body};
    proxy_temp_path ${proxy};
    fastcgi_temp_path ${fastcgi};
    uwsgi_temp_path ${uwsgi};
    scgi_temp_path ${scgi};
    default_type application/octet-stream;
    include sites/teal-*.conf;
${catch_alls}}
""")


_PLACES = {
    "pid": "nginx.pid",
    "log": "error.log",
    **{name: f"temp/{name}" for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi")},
}


@dataclass(frozen=True)
class Main:
    """The user's own nginx: where it lives, whether as root, and whether it knows keepalive_min_timeout.

    `files`: how many descriptors a worker may have open; a proxied request takes two, and a quarter stays free.
    """

    root: Path
    as_root: bool
    knows_min_timeout: bool
    files: int = 16_384


def site_text(route: Route, listens: Sequence[str]) -> str:
    """The app's own file. It holds its generation, a hash of itself, by which one sees that it is in effect."""
    return _site(route, listens, generation(route))


def generation(route: Route) -> str:
    """Of all that the app can notice; on which addresses nginx listens is the machine's business."""
    return hashlib.sha256(_site(route, (), "").encode()).hexdigest()[:16]


def main_text(main: Main, catch_all_listens: Sequence[str]) -> str:
    """The main file; a port on which every app has names of its own answers nothing to unknown names."""
    catch_alls = [f"    server {{ listen {listen} default_server; return 444; }}\n" for listen in catch_all_listens]
    return _MAIN.substitute(
        **{name: quoted(main.root / path) for name, path in _PLACES.items()},
        files=main.files,
        connections=main.files // 4,
        user="user root;\n" if main.as_root else "",
        lingering="keepalive_min_timeout 10s;\n    " if main.knows_min_timeout else "",
        catch_alls="".join(catch_alls),
    )


def quoted(path: Path) -> str:
    """A path as one nginx word. nginx has no way to write a `$` that is no variable, so such a path is refused."""
    text = str(path)
    if not text.isprintable() or _FORBIDDEN_IN_PATHS & set(text):
        raise BadRequest(
            f"the directory {text!r} has a character that cannot be written in an nginx file",
            hint="set XDG_STATE_HOME to a directory with a plainer name",
        )
    return f'"{text}"'


def _site(route: Route, listens: Sequence[str], its_generation: str) -> str:
    default = "" if route.site.domains else " default_server"
    return _SITE.substitute(
        app=route.app,
        name=route.app.replace("-", "_"),
        blue=route.ports.blue,
        green=route.ports.green,
        token=route.token,
        listens="".join(f"listen {listen}{default};\n    " for listen in listens),
        names=" ".join(route.site.domains) or "_",
        marker=quoted(route.live / "green"),
        answered_header=ANSWERED_HEADER,
        generation=its_generation,
    )
