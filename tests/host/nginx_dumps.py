"""Configurations of nginx: as Debian ships it, as people lay it out, and as `nginx -T` prints one."""

from pathlib import Path

KEPT = Path(__file__).parent / "nginx"  # the output of nginx -T on a new Debian

Files = dict[str, str]
Sites = list[tuple[str, tuple[str, ...], list[str]]]


def debian(release: int) -> str:
    return (KEPT / f"debian{release}.txt").read_text()


def dump(files: Files) -> str:
    """The output format of nginx: a head, the text, and one more newline."""
    return "".join(f"# configuration file {path}:\n{text}\n" for path, text in files.items())


# Each test writes these files, lets nginx print them, and reads file, names and listens of every site, in order.
LAYOUTS: dict[str, tuple[Files, Sites]] = {
    "one big file": (
        {
            "nginx.conf": """\
worker_processes 1; pid logs.pid; error_log stderr;
events { worker_connections 64; } # not { this
http {
    access_log off;
    map $http_upgrade ${upgraded} { default upgrade; '' close; "~*}" "{;"; }
    log_format odd '{"a":"$remote_addr", "b":"${request}"}';
    server { listen 18080 default_server; listen [::]:18080 default_server ipv6only=on; server_name _; return 444; }
    server { listen 127.0.0.1:18081; server_name "a.example" 'b.example'
        www.a.example "~^x{2}\\.example$";
        location ~ "^/[a-z]{2}}/" { return 200 "}\\";${uri}#"; } }
}
"""
        },
        [
            ("nginx.conf", ("_",), ["18080", "[::]:18080"]),
            ("nginx.conf", ("a.example", "b.example", "www.a.example", r"~^x{2}\.example$"), ["127.0.0.1:18081"]),
        ],
    ),
    "conf.d only": (
        {
            "nginx.conf": "pid x.pid; events {} http { access_log off; include conf.d/*.conf; }",
            "conf.d/10-b.conf": "server { listen 18080; server_name b; include snippets/common; }",
            "snippets/common": "server_name c;\nlocation / { include snippets/gone/*; return 200; }",
            "conf.d/2-a.conf": "# a:\nserver { listen 18080; include snippets/common; server_name a; }",
        },
        [("10-b.conf", ("b", "c"), ["18080"]), ("2-a.conf", ("c", "a"), ["18080"])],
    ),
    "sites-enabled and no listen": (
        {
            "nginx.conf": "pid x.pid; events {}\nhttp { access_log off; include sites-enabled/*; }",
            "sites-enabled/a": "server {\n listen unix:a.sock;\n server_name a.$hostname;\n}",
            "sites-enabled/b": 'server { server_name ""; }\r\n\tserver\n{\n}',
        },
        [("a", ("a.$hostname",), ["unix:a.sock:0"]), ("b", ("",), ["80"]), ("b", ("",), ["80"])],
    ),
}
