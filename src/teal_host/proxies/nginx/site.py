"""The text of nginx files, from validated values only. Pure: the same route gives the same text."""

import hashlib
from pathlib import Path
from string import Template
from typing import Optional, Sequence, Tuple

from teal_host.ground.errors import BadRequest
from teal_host.proxies.nginx import tree as nginx_tree
from teal_host.state.route import ANSWERED_HEADER, Route
from teal_host.wire.values import dataclass

_FORBIDDEN_IN_PATHS = set("$\"\\*?[]{};'`")

_SITE = Template("""\
# ${app}: written by Teal from its teal.toml; a change by hand is overwritten when the route changes.
# Which color serves is asked of one file at every request, so a switch needs no reload.

# A connection that is kept can be closed by the program just when it is used again. Then nginx asks once more, which
# is safe for GET and HEAD alone; everything else gets a connection of its own and is never sent twice. (That is asked
# of an address, because newer nginx keeps connections of every upstream.)
upstream teal_${app}_blue  { server 127.0.0.1:${blue};  keepalive 32; keepalive_timeout 4s; }
upstream teal_${app}_green { server 127.0.0.1:${green}; keepalive 32; keepalive_timeout 4s; }

map $$request_method $$teal_${name}_once { default _once; GET ""; HEAD ""; }
map $$teal_color$$teal_${name}_once $$teal_${name}_asked {
    blue       teal_${app}_blue;
    green      teal_${app}_green;
    blue_once  127.0.0.1:${blue};
    green_once 127.0.0.1:${green};
}
map $$http_upgrade $$teal_${name}_upgrade { default ""; websocket websocket; }
map $$teal_${name}_upgrade$$teal_${name}_once $$teal_${name}_connect { default upgrade; "" ""; _once close; }
map $$http_host $$teal_${name}_host { default $$host; "" ${host}; "~(:[0-9]+)$$" $$host$$1; }
map $$http_x_teal_probe $$teal_${name}_answered { default ""; "${token}" $$upstream_addr; }
${known}${log_format}
server {
${listens}    server_name ${names};
${watched}${refusal}
    open_file_cache off;
    client_max_body_size ${max_body};
    ${gzip}

    set $$teal_color blue;
    if (-f ${marker}) { set $$teal_color green; }
    set $$teal_app $$teal_${name}_asked;

    proxy_http_version 1.1;
    proxy_connect_timeout 5s;
    proxy_read_timeout ${read_timeout}s;
    proxy_send_timeout ${read_timeout}s;
    proxy_next_upstream error;
    proxy_buffering ${buffering};
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_busy_buffers_size 32k;
    proxy_temp_file_write_size 32k;

    # What only a proxy may say is said anew, never passed on.
    proxy_set_header Host $$teal_${name}_host;
    proxy_set_header Connection $$teal_${name}_connect;
    proxy_set_header Upgrade $$teal_${name}_upgrade;
    proxy_set_header X-Forwarded-For $$remote_addr;
    proxy_set_header X-Forwarded-Proto $$scheme;
    proxy_set_header X-Forwarded-Host $$teal_${name}_host;
    proxy_set_header X-Real-IP $$remote_addr;
    proxy_set_header Forwarded "";
    proxy_set_header X-Forwarded-Port "";
    proxy_set_header X-Forwarded-Server "";
    proxy_set_header X-Forwarded-Prefix "";
    proxy_set_header X-Forwarded-Ssl "";
    proxy_set_header X-Teal-Probe "";
    proxy_hide_header ${answered_header};
    add_header ${answered_header} $$teal_${name}_answered always;

    location / {
        proxy_pass http://$$teal_app;
    }

    location = /.teal-${token} {
        access_log off;
        default_type text/plain;
        return 200 "${generation}";
    }
${directives}${log}}
""")

# Which color and which status, nothing else of a request. Written only while Teal watches, so it never fills a disk.
_LOG_FORMAT = Template("""\

log_format teal_${name} "$$upstream_addr $$status";
""")
_WATCHED = Template("""\

    uninitialized_variable_warn off;
    set $$teal_watched "";
    if (-f ${watched}) { set $$teal_watched 1; }
""")
_LOG = Template("""\

    access_log ${path} teal_${name} buffer=16k flush=500ms if=$$teal_watched;
""")

_KNOWN = Template("""\
map $$http_host $$teal_${name}_named { default $$host; "" ""; }
map $$teal_${name}_named $$teal_${name}_stranger {
    default 1;
${domains}}
""")
_GZIP = """\
gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_comp_level 5;
    gzip_min_length 1000;
    gzip_types text/plain text/css text/csv text/javascript text/xml application/javascript application/json
        application/ld+json application/manifest+json application/problem+json application/rss+xml application/atom+xml
        application/xhtml+xml application/xml application/wasm image/svg+xml image/bmp font/ttf font/otf;"""
_OWN_DIRECTIVES = "\n    # [proxy] directives of teal.toml, as they are there:\n"
_WORDS_OF_MAP = ("default", "include", "hostnames", "volatile")
_LONGEST_HASHED = 40  # nginx puts longer words of a map into its hash only after a change of the main file

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
class MainFile:
    """The user's own nginx: where it lives, whether as root, and whether it knows keepalive_min_timeout.

    `files`: how many descriptors a worker may have open; a proxied request takes two, and a quarter stays free.
    """

    root: Path
    as_root: bool
    knows_min_timeout: bool
    files: int = 16_384


@dataclass(frozen=True)
class SiteLog:
    """Where nginx says how it answered while Teal watches, and what it logs anyway: a site's own log replaces that."""

    path: Path
    others: Tuple[str, ...] = ()


def site_text(route: Route, listens: Sequence[str], log: Optional[SiteLog] = None) -> str:
    """The app's own file, found on each of `listens`, such as `80` and `[::]:80`.

    It holds its generation, a hash of itself, by which one sees that it is in effect.
    """
    return _site(route, listens, log, generation(route))


def generation(route: Route) -> str:
    """Of all that the app can notice; on which addresses nginx listens and what it logs is the machine's business."""
    return hashlib.sha256(_site(route, (), None, "").encode()).hexdigest()[:16]


def explain_refused_directive(route: Route, text: str, path: Path, output: str) -> Optional[BadRequest]:
    """When nginx's complaint is of one of the user's own directives in this file's text: an error that names it."""
    says, file, line = nginx_tree.refusal(output)
    directive = directive_at(route, text, line) if file == str(path) and line else None
    if directive is None:
        return None
    hint = "change it in [proxy] directives; the routes are as they were"
    return BadRequest(f"nginx refuses {directive!r}: {says}", hint=hint)


def directive_at(route: Route, text: str, line: int) -> Optional[str]:
    """Which of the user's own directives stands in this line of the text, if one does."""
    before, _, _ = text.partition(_OWN_DIRECTIVES)
    begin = (before + _OWN_DIRECTIVES).count("\n") + 1
    for directive in route.rules.directives:
        end = begin + directive.strip().count("\n")
        if begin <= line <= end:
            return directive.strip()
        begin = end + 1
    return None


def main_text(main: MainFile, catch_all_listens: Sequence[str]) -> str:
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


def _site(route: Route, listens: Sequence[str], log: Optional[SiteLog], its_generation: str) -> str:
    site, rules, name = route.site, route.rules, route.app.replace("-", "_")
    default = "" if site.domains else " default_server"
    return _SITE.substitute(
        app=route.app,
        name=name,
        blue=route.ports.blue,
        green=route.ports.green,
        token=route.token,
        host=site.host,
        listens="".join(f"    listen {listen}{default};\n" for listen in listens),
        names=" ".join(site.domains) or "_",
        known=_known(name, site.domains),
        refusal=f"\n    if ($teal_{name}_stranger) {{ return 444; }}\n" if site.domains else "",
        max_body=f"{rules.max_body_mb}m" if rules.max_body_mb else "0",
        gzip=_GZIP if rules.gzip else "gzip off;",
        read_timeout=rules.read_timeout_s,
        buffering="on" if rules.buffering else "off",
        marker=quoted(route.live / "green"),
        answered_header=ANSWERED_HEADER,
        generation=its_generation,
        directives=_own(rules.directives),
        log_format=_LOG_FORMAT.substitute(name=name) if log else "",
        watched=_WATCHED.substitute(watched=quoted(route.live.with_name("watched"))) if log else "",
        log=_logged(route, log) if log else "",
    )


def _logged(route: Route, log: SiteLog) -> str:
    """Last, so that it moves no line of the user's own directives; one of those that logs says all that is wanted."""
    own = _LOG.substitute(path=quoted(log.path), name=route.app.replace("-", "_"))
    logs_anyway = any(directive.strip().startswith("access_log") for directive in route.rules.directives)
    return own + "".join(f"    access_log {words};\n" for words in (() if logs_anyway else log.others))


def _known(name: str, domains: Sequence[str]) -> str:
    """A port's default site answers for any name; an app with names answers for these alone, wherever it stands."""
    rows = "".join(f'    {_map_word(domain)} "";\n' for domain in domains)
    return _KNOWN.substitute(name=name, domains=rows) if domains else ""


def _map_word(domain: str) -> str:
    if len(domain) > _LONGEST_HASHED:
        return '"~^' + domain.replace(".", "[.]") + '$"'
    return f'"\\\\{domain}"' if domain in _WORDS_OF_MAP else domain


def _own(directives: Sequence[str]) -> str:
    """Each begins a line of its own and ends it, because it may end with a comment."""
    lines = "".join(f"    {directive.strip()}\n" for directive in directives)
    return _OWN_DIRECTIVES + lines if directives else ""
