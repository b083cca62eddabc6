"""The main file of the user's own nginx."""

from pathlib import Path
from string import Template
from typing import Sequence

from teal_host.proxies.nginx.parts.quoting import quoted
from teal_host.wire.values import dataclass

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
_PATHS = {
    "pid": "nginx.pid",
    "log": "error.log",
    **{name: f"temp/{name}" for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi")},
}


@dataclass(frozen=True)
class MainFile:
    """Where the user's own nginx lives, whether root runs it, and whether it knows keepalive_min_timeout.

    `files`: how many descriptors a worker may have open. A proxied request takes two, and a quarter stays free.
    """

    root: Path
    as_root: bool
    knows_min_timeout: bool
    files: int = 16_384


def main_text(main: MainFile, catch_all_listens: Sequence[str]) -> str:
    """`catch_all_listens`: where every app has names of its own. nginx closes requests for other names there."""
    catch_alls = [f"    server {{ listen {listen} default_server; return 444; }}\n" for listen in catch_all_listens]
    return _MAIN.substitute(
        **{name: quoted(main.root / path) for name, path in _PATHS.items()},
        files=main.files,
        connections=main.files // 4,
        user="user root;\n" if main.as_root else "",
        lingering="keepalive_min_timeout 10s;\n    " if main.knows_min_timeout else "",
        catch_alls="".join(catch_alls),
    )
