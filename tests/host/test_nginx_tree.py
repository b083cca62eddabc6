"""The configuration of others as nginx prints it: Teal reads it into values and queries the values."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.world import free_ports, wait_until
from host import nginx_dumps
from host.nginx_dumps import debian, dump
from teal.transports.local import find_nginx
from teal_host.proxies.nginx import listeners
from teal_host.proxies.nginx import sites as nginx_sites
from teal_host.proxies.nginx import tree as nginx_tree
from teal_host.proxies.nginx.sites import Listen, Server
from teal_host.proxies.nginx.tree import CannotRead, Tree, parse

NGINX = find_nginx()
MAIN = "/etc/nginx/nginx.conf"
A, B = "/etc/nginx/conf.d/a.conf", "/etc/nginx/sites-enabled/b"


def http(text: str, **others: str) -> Tree:
    return parse(
        dump({MAIN: f"http {{\n{text}\n}}", **{f"/etc/nginx/{name}": text_ for name, text_ in others.items()}})
    )


def sites(text: str) -> tuple[Server, ...]:
    return nginx_sites.servers(http(text))


def places(tree: Tree) -> list[str]:
    return [place.path for place in nginx_sites.include_points(tree, "teal-shop")]


# --- reading ----------------------------------------------------------------------------------------------------------


def test_each_directive_knows_its_file_and_line() -> None:
    tree = parse(
        dump({MAIN: "user x;\n\nhttp {\n include conf.d/*.conf;\n}\n", A: "# hello\nserver {\n listen 1; }\n"})
    )
    (server,) = (directive for directive in tree.http() if directive.name == "server")
    assert (server.file, server.line) == (A, 2)
    assert [(directive.name, directive.args, directive.line) for directive in server.block] == [("listen", ("1",), 3)]
    assert [(directive.name, directive.line) for directive in tree.directives] == [("user", 1), ("http", 3)]


def _values(tree: Tree, name: str) -> list[str]:
    return [directive.args[0] for directive in tree.top(name)]


def test_nginx_tree_skips_warnings_before_the_first_file() -> None:
    text = "nginx: [warn] conflicting server name\nnginx: the configuration file x syntax is ok\n"
    assert parse(text + dump({MAIN: "user x;"})).main == MAIN


def test_line_like_a_file_head_is_text_when_the_file_was_already_printed() -> None:
    tree = parse(dump({MAIN: f"user x;\n# configuration file {MAIN}:\npid y;"}))
    assert (tree.files, _values(tree, "pid")) == ((MAIN,), ["y"])
    assert [directive.line for directive in tree.directives] == [1, 3]


def test_include_is_read_wherever_it_is_named_though_printed_once() -> None:
    server = "server { include snippets/names; include snippets/names; }"
    tree = http(f"{server} {server}", **{"snippets/names": "server_name a b;"})
    assert [site.names for site in nginx_sites.servers(tree)] == [("a", "b", "a", "b")] * 2


def test_relative_include_starts_at_the_main_directory_also_in_included_files() -> None:
    tree = http("include conf.d/*;", **{"conf.d/a": "include more/b;", "more/b": "server { listen 9; }"})
    assert nginx_sites.servers(tree)[0].file == "/etc/nginx/more/b"


def test_include_pattern_takes_files_in_byte_order_and_skips_hidden_files() -> None:
    named = {
        f"d/{name}": f"server {{ server_name {number}.x; }}" for number, name in enumerate(["b", "B", "a", "é", ".c"])
    }
    tree = http("include d/*; include d/none*; include d/[ab];", **named)
    assert [site.names[0] for site in nginx_sites.servers(tree)] == ["1.x", "2.x", "0.x", "3.x", "2.x", "0.x"]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/b/c", False),
        ("/a/*", "/a/.b", False),
        ("/a/.*", "/a/.b", True),
        ("/a//*", "/a/b", True),
        ("/*/b", "/a/b", True),
        ("/a/?.conf", "/a/b.conf", True),
        ("/a/[!b]", "/a/b", False),
    ],
)
def test_include_pattern_matches_paths_as_nginx_does(pattern: str, path: str, expected: bool) -> None:
    assert nginx_tree.matches(pattern, path) is expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a", 1),
        ("\n}", 2),
        ("a {\n", 1),
        ("a {\n b }", 2),
        (";", 1),
        ("a 'b", 1),
        ("a;\n\n'x'y;", 3),
        ("{ a; }", 1),
        ("a {" * 2000 + "}" * 2000, 1),
    ],
)
def test_nginx_tree_reports_unreadable_text_with_file_and_line(text: str, line: int) -> None:
    with pytest.raises(CannotRead) as caught:
        parse(dump({MAIN: text}))
    assert (caught.value.file, caught.value.line) == (MAIN, line)


def test_nginx_tree_is_unreadable_without_a_file_or_with_a_circle_of_includes() -> None:
    with pytest.raises(CannotRead):
        parse("nginx: command not found")
    with pytest.raises(CannotRead, match="include each other"):
        http("include a;", a="include a;")


def test_nginx_tree_reads_past_odd_blocks() -> None:
    tree = http("""
        map $uri $x { default 0; "~^/a{2,3}$" 1; "~*}x" "}"; '{' '#'; volatile; }
        map $host ${y} { hostnames; *.a.b 1; }
        geo $z { 127.0.0.1/32 2; }
        log_format main '$remote_addr - "$request" {"a":"${status}"}';
        init_by_lua_block { local t = { a = "}", b = '{' } -- it's }
            --[[ server { listen 1; ]] s = [==[ } ]==] }
        server { listen 81; location ~ "^/(?<n>[a-z]{1,3})$" { if ($x ~ "}") { return 403; } } }
    """)
    assert [site.listens for site in nginx_sites.servers(tree)] == [(Listen("*", 81),)]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            '2026/01/02 03:04:05 [emerg] 7#7: unknown directive "x" in /etc/nginx/a b.conf:12\nnginx: … test failed\n',
            ('unknown directive "x"', "/etc/nginx/a b.conf", 12),
        ),
        (
            'nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored\n'
            "nginx: [emerg] a duplicate default server for 0.0.0.0:80 in /etc/nginx/sites-enabled/b:3\n"
            "nginx: configuration file /etc/nginx/nginx.conf test failed\n",
            ("a duplicate default server for 0.0.0.0:80", "/etc/nginx/sites-enabled/b", 3),
        ),
        (
            'nginx: [emerg] cannot load certificate "/x": BIO_new_file() failed (SSL: error:…)\nnginx: … failed',
            ('cannot load certificate "/x": BIO_new_file() failed (SSL: error:…)', None, None),
        ),
        ("sh: nginx: not found\n", ("sh: nginx: not found", None, None)),
        (f"[emerg] x in /y:{'9' * 5000}", (f"x in /y:{'9' * 5000}", None, None)),
        ("[emerg] x in /y:\u00b2", ("x in /y:\u00b2", None, None)),
        ("", ("nginx gave no reason", None, None)),
    ],
)
def test_nginx_refusal_is_parsed_into_reason_file_and_line(
    output: str, expected: tuple[str, str | None, int | None]
) -> None:
    assert nginx_tree.refusal(output) == expected


# --- who serves what --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [Listen("*", 80)]),
        ("listen 8080;", [Listen("*", 8080)]),
        (
            "listen 80 default_server; listen [::]:80 default_server ipv6only=on;",
            [Listen("*", 80, True), Listen("[::]", 80, True)],
        ),
        ("listen [::]:80 ipv6only=off;", [Listen("[::]", 80, takes_ipv4=True)]),
        ("listen *:81 default;", [Listen("*", 81, True)]),
        ("listen 0.0.0.0:81;", [Listen("*", 81)]),
        ("listen 127.0.0.1;", [Listen("127.0.0.1", 80)]),
        ("listen localhost:82;", [Listen("localhost", 82)]),
        ("listen [2001:DB8::1];", [Listen("[2001:db8::1]", 80)]),
        ("listen unix:/run/a.sock;", [Listen("unix:/run/a.sock", 0)]),
        ("listen 8080-8082;", [Listen("*", 8080), Listen("*", 8081), Listen("*", 8082)]),
        ("listen 443 ssl http2 reuseport;", [Listen("*", 443, http2=True)]),
        ("listen \u00b2;", [Listen("\u00b2", 80)]),
        ("listen localhost:8\u00b2;", [Listen("localhost", 80)]),
        (f"listen {'9' * 5000};", [Listen("*", 80)]),
    ],
)
def test_listen_directive_is_parsed_into_addresses_and_ports(text: str, expected: list[Listen]) -> None:
    assert list(sites(f"server {{ {text} }}")[0].listens) == expected


def test_server_names_are_read_quoted_or_not() -> None:
    (site,) = sites("server { server_name a \"b\" '' _ '~^x{2}$'; server_name c; }")
    assert site.names == ("a", "b", "", "_", "~^x{2}$", "c")


def test_default_sites_of_a_port_begin_with_the_marked_sites() -> None:
    all_of_them = sites("""
        server { server_name a; }
        server { listen 80; server_name _; }
        server { listen 80; server_name ""; }
        server { listen [::]:80 default_server; server_name b; }
        server { listen 81 default_server; }
        server { listen 82 default_server; listen 80; server_name c; }
        server { }
    """)
    assert [site.line for site in nginx_sites.default_sites(all_of_them, 80)] == [6, 4, 5, 9]
    assert [site.line for site in nginx_sites.default_sites(all_of_them, 81)] == [7]


def test_serving_site_is_found_by_the_exact_name() -> None:
    all_of_them = sites("""
        server { server_name Example.com www.example.com; }
        server { server_name .example.org; }
        server { server_name *.example.net ~^example; }
        server { listen 81; server_name example.com; }
    """)
    result = {
        name: [site.line for site in nginx_sites.serving(all_of_them, name, 80)]
        for name in ("example.com", "example.org")
    }
    assert result == {"example.com": [3], "example.org": [4]}
    assert (
        nginx_sites.serving(all_of_them, "a.example.net", 80)
        == nginx_sites.serving(all_of_them, "b.example.org", 80)
        == ()
    )


@pytest.mark.parametrize(
    ("text", "named", "nameless"),
    [
        ("", "80 [::]:80", "80 [::]:80"),
        ("server { listen 443; listen unix:/x; }", "80 [::]:80", "80 [::]:80"),
        ("server { listen 80; } server { listen 127.0.0.1:80; }", "80 127.0.0.1:80 [::]:80", "80 [::]:80"),
        ("server { listen 203.0.113.9:80; listen 127.0.0.1:80; }", "127.0.0.1:80 203.0.113.9:80 [::]:80", "[::]:80"),
        ("server { listen [::1]:80 default_server; }", "80 [::1]:80", "80"),
        ("server { listen [::]:80 ipv6only=off; }", "[::]:80", "[::]:80"),
    ],
)
def test_listen_addresses_fit_beside_other_sites(text: str, named: str, nameless: str) -> None:
    assert listeners.beside(sites(text), 80) == tuple(named.split())
    assert listeners.beside(sites(text), 80, named=False) == tuple(nameless.split())


@pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")
def test_nginx_tests_a_wildcard_beside_an_exact_address_as_good_and_fails_to_reload_it(tmp_path: Path) -> None:
    """The reason for the rule above: nginx -t accepts the configuration, but the reload fails."""
    (port,) = free_ports(1)
    foreign = f"server {{ listen 127.0.0.1:{port}; }}"
    with running(tmp_path, foreign) as reloaded:
        assert reloaded(f"{foreign} server {{ listen {port}; }}") == f"bind() to 0.0.0.0:{port} failed"
        beside = listeners.beside(sites(foreign), port)
        assert beside == (f"127.0.0.1:{port}", f"[::]:{port}")
        assert reloaded(f"{foreign} server {{ listen {beside[0]}; server_name a; }}") is None


@contextmanager
def running(home: Path, text: str) -> Iterator[Callable[[str], str | None]]:
    """An nginx with these sites.

    Yields a function that reloads nginx with other sites, and returns why the reload failed.
    """
    conf, log = home / "nginx.conf", home / "error.log"
    argv = [str(NGINX), "-p", f"{home}/", "-c", str(conf), "-e", str(log)]

    def written(text: str) -> None:
        folders = " ".join(f"{name}_temp_path {home}/{name};" for name in ("fastcgi", "uwsgi", "scgi", "proxy"))
        http = f"access_log off; client_body_temp_path {home}/body; {folders} {text}"
        conf.write_text(f"pid {home}/pid; error_log {log} notice; events {{}} http {{ {http} }}")

    def reloaded(text: str) -> str | None:
        written(text)
        log.write_text("")
        assert subprocess.run([*argv, "-t"], capture_output=True, timeout=120, check=False).returncode == 0
        subprocess.run([*argv, "-s", "reload"], capture_output=True, timeout=120, check=True)
        wait_until(lambda: "start worker process " in log.read_text() or "still could not bind" in log.read_text())
        result = re.search(r"bind\(\) to \S+ failed", log.read_text())
        return result[0] if result else None

    written(text)
    subprocess.run(argv, capture_output=True, timeout=120, check=True)
    # nginx writes its PID before it starts its first workers. Those would otherwise count as workers of a reload.
    wait_until(lambda: "start worker process " in log.read_text())
    try:
        yield reloaded
    finally:
        os.kill(int((home / "pid").read_text()), signal.SIGTERM)


# --- where a file would be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "include conf.d/*.conf; include sites-enabled/*;",
            ["/etc/nginx/conf.d/teal-shop.conf", "/etc/nginx/sites-enabled/teal-shop.conf"],
        ),
        (
            "include /etc/nginx/sites-enabled/*; include /srv/conf.d/*.conf;",
            ["/srv/conf.d/teal-shop.conf", "/etc/nginx/sites-enabled/teal-shop.conf"],
        ),
        ("include sites/*[!f];", ["/etc/nginx/sites/teal-shop"]),
        ("include mime.types; include */x.conf; include own-*.conf;", []),
        ("server { include conf.d/*.conf; } types { include types.d/*; }", []),
        ("include a;", ["/etc/nginx/deep/teal-shop.conf"]),
        ("", []),
    ],
)
def test_include_points_are_found_in_the_http_block(text: str, expected: list[str]) -> None:
    assert places(http(text, a="include deep/*;")) == expected


def test_include_point_that_is_read_first_overtakes_an_unmarked_default_site() -> None:
    tree = parse(
        dump({MAIN: "http { include conf.d/*.conf; include sites-enabled/*; }", B: "server { server_name b; }"})
    )
    first, second = nginx_sites.include_points(tree, "teal-shop")
    assert [site.file for site in nginx_sites.overtaken(tree, first, 80)] == [B]
    assert nginx_sites.overtaken(tree, second, 80) == nginx_sites.overtaken(tree, first, 81) == ()
    (early,) = nginx_sites.include_points(
        http("include sites-enabled/*;", **{"sites-enabled/zoo": "server {}"}), "teal-shop"
    )
    assert nginx_sites.overtaken(http("include sites-enabled/*;", **{"sites-enabled/zoo": "server {}"}), early, 80)


def test_default_site_is_not_overtaken_when_marked_or_read_earlier() -> None:
    marked = parse(
        dump(
            {
                MAIN: "http { include conf.d/*.conf; include sites-enabled/*; }",
                B: "server { listen 80 default_server; }",
            }
        )
    )
    early = parse(dump({MAIN: "http { server { listen 80; } include conf.d/*.conf; server { listen 80; } }"}))
    for tree in (marked, early):
        assert nginx_sites.overtaken(tree, nginx_sites.include_points(tree, "teal-shop")[0], 80) == ()


@pytest.mark.parametrize("own", ["server { listen 80 default_server; }", "server { server_name own; }"])
def test_other_site_is_not_overtaken_where_the_present_file_gets_the_unknown_names(own: str) -> None:
    """Also where the new text of that file no longer marks it: the other site never had those names."""
    tree = http("include conf.d/*.conf;", **{"conf.d/teal-shop.conf": own, "conf.d/teal-web.conf": "server {}"})
    (point,) = nginx_sites.include_points(tree, "teal-shop")
    assert nginx_sites.overtaken(tree, point, 80) == ()


# --- whole machines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", [12, 13])
def test_nginx_tree_reads_the_configuration_of_debian(release: int) -> None:
    tree = parse(debian(release))
    assert (tree.main, _values(tree, "user"), _values(tree, "pid")) == (MAIN, ["www-data"], ["/run/nginx.pid"])
    assert places(tree) == ["/etc/nginx/conf.d/teal-shop.conf", "/etc/nginx/sites-enabled/teal-shop.conf"]
    (welcome,) = nginx_sites.servers(tree)
    assert (welcome.file, welcome.names) == ("/etc/nginx/sites-enabled/default", ("_",))
    assert welcome.listens == (Listen("*", 80, True), Listen("[::]", 80, True))
    assert nginx_sites.default_sites([welcome], 80) == (welcome,)
    assert [each.args[0] for each in tree.http() if each.name in ("gzip", "open_file_cache")] == ["on"]


@pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")
@pytest.mark.parametrize("layout", list(nginx_dumps.LAYOUTS))
def test_nginx_tree_reads_what_nginx_prints_as_it_was_written(layout: str, tmp_path: Path) -> None:
    files, expected = nginx_dumps.LAYOUTS[layout]
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    argv = [str(NGINX), "-T", "-p", f"{tmp_path}/", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    tree = parse(done.stdout)
    result = [
        (Path(site.file).name, site.names, [listen.value for listen in site.listens])
        for site in nginx_sites.servers(tree)
    ]
    assert result == expected
    assert [str(tmp_path / name) for name in files] == sorted(tree.files, key=list(tree.files).index)
