"""The text that Teal writes for nginx: a reader of nginx's syntax reads the text back, and nginx itself does, too."""

import hashlib
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.world import free_ports
from host import values
from host.nginx_syntax import Directive, parse
from teal.transports.local import find_nginx
from teal_host.ground.errors import BadRequest
from teal_host.proxies.nginx import directives as own_directives
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx.main_file import MainFile, main_text
from teal_host.proxies.nginx.parts.quoting import quoted
from teal_host.proxies.nginx.server import _NEVER_OF_A_CLIENT, HEADERS_TABLE
from teal_host.state.route import Route
from teal_host.wire import site_grammar
from teal_host.wire.app import Ports, ProxyRules, Site

TOKEN = "0123456789abcdef" * 2
LIVE = Path("/var/lib/teal/shop/live")
LISTEN = "127.0.0.1:8080"
HOSTILE = ["a;b", "a}", "a{", "a\nb", "$host", "${host}", '"a"', "'a'", "*", "*.*.b", "_", "~.*", "bücher.example", "-"]
HOSTILE += [
    "a" * 300,
    "a b",
    "a#b",
    "a\\",
    "",
    "a;} server { listen 81",
    "a;",
    "a\r",
    "a\0",
    "a\u2028",
    ".a",
    "a.",
    "\ud800",
]
DOMAINS = st.one_of(values.DOMAINS, st.sampled_from(HOSTILE), st.text(st.characters(), max_size=20))
REFUSED = "$\";{}*?[]\\'`\n\r\t\0\x1b\u2028\u202e\ud800"
PLAIN = st.text(st.characters(categories=["L", "N", "Zs"], include_characters=" -_.~#=+,@!()|&<>%^:"), min_size=1)
FOLDERS = st.lists(PLAIN.filter(lambda part: part.isprintable() and part not in (".", "..")), min_size=1, max_size=4)
ODD_FOLDERS = ["a b", "ä € 名", "#", "a#b", "(x)", "a=b", "~", "100%", "-c", "a, b", ".", "a  b ", "x" * 200]
DIRECTIVES = ["a b;", "a {}", "a { b; }", "a b; # }", "a '}';", "} server {", "a", "a;}", "a \\"]
NGINX = find_nginx()


def route(site: Site, live: Path = LIVE, app: str = "shop", ports: Ports | None = None) -> Route:
    return Route(app, site, ports or Ports(8081, 8082), live, TOKEN)


def ruled(rules: ProxyRules) -> Route:
    return replace(route(Site(("a.example",))), rules=rules)


def asked_of_files(parsed: Directive) -> list[tuple[str, ...]]:
    return [question.words[1:] for question in parsed.all("if") if "-f" in question.words[1]]


def known(parsed: Directive) -> set[str]:
    """The names that the app answers to; none if the app answers to all names."""
    maps = [directive.block for directive in parsed.all("map") if directive.words[2] == "$teal_shop_stranger"]
    rows = [row.words[0] for block in maps for row in block if row.words != ("default", "1")]
    return {row.removeprefix("\\\\").removeprefix("~^").removesuffix("$").replace("[.]", ".") for row in rows}


def read(shown: Route) -> Directive:
    return parse(nginx_site.site_text(shown, [LISTEN]))


@given(st.lists(values.DOMAINS, max_size=4, unique=True) | DOMAINS.map(lambda name: [name]))
@example([])
def test_domain_is_refused_or_is_one_word_of_one_server(domains: list[str]) -> None:
    if any(site_grammar.domain(name) for name in domains):
        return
    parsed = read(route(Site(tuple(domains))))
    assert [server.words for server in parsed.all("server") if server.block] == [("server",)]
    assert parsed.one("server_name") == (tuple(domains) or ("_",))
    assert parsed.one("listen") == ((LISTEN,) if domains else (LISTEN, "default_server"))
    (question,) = asked_of_files(parsed)
    assert question == ("(-f", f"{LIVE}/green", ")")
    assert known(parsed) == set(domains)
    assert [place.words[1:] for place in parsed.all("location")] == [("/",), ("=", f"/.teal-{TOKEN}")]


@pytest.mark.parametrize("domain", HOSTILE)
def test_hostile_domain_is_refused(domain: str) -> None:
    assert site_grammar.domain(domain) is not None


@given(values.APPS, values.PAIRS, values.SITES)
def test_site_text_uses_the_names_and_ports_of_its_app_alone(app: str, ports: Ports, site: Site) -> None:
    parsed = read(route(site, app=app, ports=ports))
    upstreams = {
        group.words[1]: [directive.words[1] for directive in group.all("server")] for group in parsed.all("upstream")
    }
    assert upstreams == {
        f"teal_{app}_blue": [f"127.0.0.1:{ports.blue}"],
        f"teal_{app}_green": [f"127.0.0.1:{ports.green}"],
    }
    name = app.replace("-", "_")
    (chosen,) = (directive for directive in parsed.all("map") if directive.words[2] == f"$teal_{name}_asked")
    assert {row.words for row in chosen.block} == {
        *((color, f"teal_{app}_{color}") for color in ("blue", "green")),
        *((f"{color}_once", f"127.0.0.1:{ports.of(color)}") for color in ("blue", "green")),
    }
    assert parsed.one("proxy_pass") == ("http://$teal_app",)
    assert [color.words[1:] for color in parsed.all("set")] == [
        *[("$teal_color", "blue"), ("$teal_color", "green"), ("$teal_app", f"$teal_{name}_asked")]
    ]
    assert all(directive.words[2].startswith(f"$teal_{name}_") for directive in parsed.all("map"))
    assert all(
        len(directive.words[2]) <= 46 for directive in parsed.all("map")
    )  # longer names do not fit into nginx's hash with its default size


@given(values.SITES, values.SITES)
def test_route_generation_tells_two_routes_apart(first: Site, other: Site) -> None:
    same = nginx_site.generation(route(first)) == nginx_site.generation(route(other))
    assert same == (nginx_site.site_text(route(first), [LISTEN]) == nginx_site.site_text(route(other), [LISTEN]))
    assert list(read(route(first)).all("return"))[-1].words[1:] == ("200", nginx_site.generation(route(first)))


def test_mark_tells_neither_the_token_nor_that_of_another_app() -> None:
    mine, other = route(Site()), replace(route(Site()), token="f" * 32)
    words = {mine.mark.question, mine.mark.answer, other.mark.question, other.mark.answer}
    assert len(words) == 4
    assert not any(word in TOKEN or TOKEN in word for word in words)


def test_generation_is_that_of_an_earlier_teal_that_kept_fewer_connections_and_had_no_mark() -> None:
    text = nginx_site.site_text(route(Site()), [LISTEN])
    mark = route(Site()).mark
    earlier = text.replace(" keepalive 128;", " keepalive 32;").replace(f' "{mark.question}" "{mark.answer}";', "")
    for header in _NEVER_OF_A_CLIENT:
        earlier = earlier.replace(f'    proxy_set_header {header} "";\n', "")
    for name, size in HEADERS_TABLE.items():
        earlier = earlier.replace(f"    {name} {size};\n", "")
    earlier = earlier.replace("    proxy_max_temp_file_size 0;\n", "")
    assert len(earlier) < len(text) - 2 * 32
    without_generation = earlier.replace(f"    listen {LISTEN} default_server;\n", "").replace(
        nginx_site.generation(route(Site())), ""
    )
    assert hashlib.sha256(without_generation.encode()).hexdigest()[:16] == nginx_site.generation(route(Site()))


def test_generation_of_an_unchanged_app_stays_what_servers_have() -> None:
    """Otherwise an upgraded server would refuse every deploy, because nginx would seem not to serve the agreement."""
    plain, named = route(Site()), ruled(ProxyRules(0, 7, False, True, ("a;",)))
    falls_back = replace(plain, fallback=LIVE.with_name("fallback"))
    generations = [nginx_site.generation(each) for each in (plain, named, falls_back)]
    assert generations == ["dede03000e72d1cf", "2dab044f6f6c0369", "6c6bb869631516d0"]


def test_site_of_an_agreement_with_a_fallback_asks_the_other_color_in_one_named_location() -> None:
    shown = replace(route(Site()), fallback=LIVE.with_name("fallback"))
    parsed = read(shown)
    assert parsed.one("error_page") == ("502", "=", "@teal_shop_standby")
    (standby,) = (directive for directive in parsed.all("location") if directive.words[1] == "@teal_shop_standby")
    assert standby.one("proxy_pass") == ("http://teal_shop_$teal_shop_instead",)
    assert ("(!-f", f"{LIVE.with_name('fallback')}/$teal_shop_instead", ")") in asked_of_files(parsed)
    (chosen,) = (directive for directive in parsed.all("map") if directive.words[2] == "$teal_shop_instead")
    assert [row.words[1] for row in chosen.block] == ["", "green", "blue"]
    nobody = next(iter(standby.all("if")))
    assert (nobody.words[1:], nobody.one("return")) == (("(!-e", str(LIVE), ")"), ("503",))
    assert nginx_site.generation(shown) != nginx_site.generation(route(Site()))


def test_way_to_a_socket_is_asked_of_the_color_and_of_no_link_that_may_turn() -> None:
    shown = replace(route(Site()), fallback=LIVE.with_name("fallback"), sockets=Path("/run/teal/shop"))
    asked = [words[1] for words in asked_of_files(read(shown)) if words[1].endswith("/socket")]
    assert asked == [f"{LIVE.parent}/${variable}/socket" for variable in ("teal_color", "teal_shop_instead")]


@pytest.mark.parametrize(
    ("attempt", "instead"),
    [
        ("blue 127.0.0.1:8081 0", "green"),
        ("blue0 127.0.0.1:8081 0", "green"),  # a body of no length
        ("blue 127.0.0.1:8081, 127.0.0.1:8081 0, 0", "green"),
        ("green 127.0.0.1:8082 0", "blue"),
        ("blue 127.0.0.1:8081 39", ""),  # the program itself answered 502
        ("blue 127.0.0.1:8081 16384", ""),  # a header that is too big for nginx
        ("blue 127.0.0.1:8081, 127.0.0.1:8081 0, 39", ""),
        ("blue 127.0.0.1:8081, 127.0.0.1:8081 21, 0", ""),
        ("blue_once 127.0.0.1:8081 0", ""),  # a POST
        ("blue12 127.0.0.1:8081 0", ""),  # a body
        ("bluechunked 127.0.0.1:8081 0", ""),
        ("bluewebsocket 127.0.0.1:8081 0", ""),
        (f"blue{TOKEN} 127.0.0.1:8081 0", ""),  # Teal's probe
        ("blue 127.0.0.1:9000 0", ""),  # a location of the user that leads elsewhere
        ("blue 127.0.0.1:18081 0", ""),
        ("blue  ", ""),
    ],
)
def test_color_that_stands_in_is_chosen_by_method_and_by_who_gave_no_answer(attempt: str, instead: str) -> None:
    shown = read(replace(route(Site()), fallback=LIVE.with_name("fallback")))
    (chosen,) = (directive for directive in shown.all("map") if directive.words[2] == "$teal_shop_instead")
    rows = [row.words for row in chosen.block if row.words[0] != "default"]
    assert next((color for pattern, color in rows if re.search(pattern.removeprefix("~"), attempt)), "") == instead


@given(FOLDERS.map(lambda parts: Path("/", *parts)))
def test_marker_is_one_word_whatever_the_directory_is_called(live: Path) -> None:
    parsed = read(route(Site(), live))
    assert asked_of_files(parsed) == [("(-f", str(live / "green"), ")")]


@given(st.text(st.characters(), min_size=1, max_size=20).map(lambda name: Path("/", name)))
def test_directory_is_refused_or_written_unchanged(live: Path) -> None:
    try:
        parsed = read(route(Site(), live))
    except BadRequest:
        assert any(char in REFUSED or not char.isprintable() for char in str(live))
        return
    assert asked_of_files(parsed) == [("(-f", str(live / "green"), ")")]


@given(
    st.sampled_from(["80", "[::]:80", "127.0.0.1:8080", "203.0.113.9:80"]).map(lambda listen: [listen, "unix:/x"]),
    values.SITES,
)
def test_site_listens_on_the_given_addresses(listens: list[str], site: Site) -> None:
    parsed = parse(nginx_site.site_text(route(site), listens))
    default = () if site.domains else ("default_server",)
    assert [directive.words[1:] for directive in parsed.all("listen")] == [(listen, *default) for listen in listens]


def test_proxy_rules_are_written_into_the_site() -> None:
    parsed = read(ruled(ProxyRules(0, 7, gzip=False, buffering=True)))
    directives = {
        name: parsed.one(name) for name in ("client_max_body_size", "gzip", "proxy_buffering", "proxy_read_timeout")
    }
    assert directives == {
        "client_max_body_size": ("0",),
        "gzip": ("off",),
        "proxy_buffering": ("on",),
        "proxy_read_timeout": ("7s",),
    }
    usual = read(ruled(ProxyRules()))
    assert (usual.one("client_max_body_size"), usual.one("proxy_buffering")) == (("100m",), ("off",))
    assert "text/html" not in usual.one("gzip_types")  # nginx adds this type by itself and warns
    assert "text/event-stream" not in usual.one("gzip_types")


@given(st.lists(st.sampled_from(DIRECTIVES) | st.text("ab{};#\"'\\\n $", max_size=12), max_size=4))
def test_own_directives_come_last_and_end_no_block_but_their_own(directives: list[str]) -> None:
    if any(site_grammar.directive(directive) for directive in directives):
        return
    plain, parsed = read(ruled(ProxyRules())), read(ruled(ProxyRules(directives=tuple(directives))))
    (before,), (after,) = [
        [directive for directive in directives_.block if directive.words == ("server",)]
        for directives_ in (plain, parsed)
    ]
    assert len(parsed.block) == len(plain.block)
    assert [directive.words[0] for directive in after.block[: len(before.block)]] == [
        directive.words[0] for directive in before.block
    ]
    assert len(after.block) == len(before.block) + len(directives)


def test_refusal_names_the_directive_at_its_line() -> None:
    shown = ruled(ProxyRules(directives=("a;", "b {\n  c;\n}", "d '\n';")))
    text = nginx_site.site_text(shown, [LISTEN])
    lines = text.splitlines()
    begin = lines.index("    a;") + 1
    located = [own_directives.directive_at(shown, text, line) for line in range(begin - 1, begin + 7)]
    assert located == [None, "a;", *["b {\n  c;\n}"] * 3, *["d '\n';"] * 2, None]
    error = own_directives.explain_refused_directive(
        shown, text, Path("/x y"), f"nginx: [emerg] no c in /x y:{begin + 2}\n"
    )
    assert error is not None
    assert str(error) == "nginx refuses 'b {\\n  c;\\n}': no c"
    for elsewhere in ("/other:91", f"/x y:{begin - 9}", ""):
        assert (
            own_directives.explain_refused_directive(shown, text, Path("/x y"), f"nginx: [emerg] no c in {elsewhere}")
            is None
        )


@pytest.mark.parametrize("char", REFUSED)
def test_directory_is_refused_when_an_nginx_file_cannot_hold_its_name(char: str) -> None:
    for text in (f"/a{char}b/live", f"/{char}", f"/a/{char}x"):
        with pytest.raises(BadRequest, match="cannot be written in an nginx file"):
            quoted(Path(text))
        with pytest.raises(BadRequest):
            nginx_site.site_text(route(Site(), Path(text)), [LISTEN])
        with pytest.raises(BadRequest):
            main_text(MainFile(Path(text), False, True), [])


@given(st.lists(st.integers(1, 65535).map(lambda port: f"127.0.0.1:{port}"), max_size=3, unique=True), st.booleans())
def test_nginx_main_file_answers_nothing_to_unknown_names(listens: list[str], as_root: bool) -> None:
    parsed = parse(main_text(MainFile(Path("/x y"), as_root, False), listens))
    assert [server.one("listen") for server in parsed.all("server")] == [
        (listen, "default_server") for listen in listens
    ]
    assert all(server.one("return") == ("444",) for server in parsed.all("server"))
    assert [user.words for user in parsed.all("user")] == ([("user", "root")] if as_root else [])
    assert parsed.one("pid") == ("/x y/nginx.pid",)
    assert parsed.one("include") == ("sites/teal-*.conf",)


def accepted(home: Path, routes: list[Route], listen: str) -> None:
    """nginx itself reads the rendered files."""
    sites = home / "sites"
    sites.mkdir(parents=True, exist_ok=True)
    (home / "temp").mkdir(exist_ok=True)
    for route_ in routes:
        (sites / f"teal-{route_.app}.conf").write_text(nginx_site.site_text(route_, [listen]))
    named = all(route_.site.domains for route_ in routes)
    main = MainFile(home, os.geteuid() == 0, False)
    (home / "nginx.conf").write_text(main_text(main, [listen] if named else []))
    argv = [str(NGINX), "-t", "-p", f"{home}/", "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"[warn]" not in done.stderr


@pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")
class TestNginxItself:
    """nginx itself accepts what the reader above accepts."""

    @given(st.data())
    @settings(max_examples=25)
    def test_nginx_accepts_every_site(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        home = tmp_path_factory.mktemp("nginx") / data.draw(st.sampled_from(ODD_FOLDERS))
        apps = data.draw(st.lists(values.APPS, min_size=1, max_size=3, unique=True))
        domains = data.draw(st.lists(values.DOMAINS, min_size=len(apps), max_size=8, unique=True))
        sites = [Site(tuple(domains[index :: len(apps)])) for index in range(len(apps))]
        routes = [route(site, home / "live", app) for app, site in zip(apps, sites, strict=True)]
        accepted(home, routes, f"127.0.0.1:{free_ports(1)[0]}")

    @pytest.mark.parametrize("folder", ODD_FOLDERS)
    def test_nginx_accepts_any_directory_that_is_not_refused(self, folder: str, tmp_path: Path) -> None:
        home = tmp_path / folder
        accepted(home, [route(Site(), home / "live")], f"127.0.0.1:{free_ports(1)[0]}")

    @pytest.mark.parametrize(
        "domains",
        [
            ("a" * 63,),
            (".".join(["a" * 62] * 4),),
            tuple(f"{'a' * 60}.{number}.{'b' * 60}.example" for number in range(200)),
            tuple(f"{number}.example" for number in range(2000)),
            ("_._", "xn--bcher-kva.example", "a_b.example"),
            ("default", "include", "hostnames", "volatile", "test.example", "named"),
        ],
        ids=["a long label", "a long name", "200 long names", "2000 names", "odd names", "words of nginx"],
    )
    def test_nginx_accepts_long_and_many_domains(self, domains: tuple[str, ...], tmp_path: Path) -> None:
        assert not any(site_grammar.domain(name) for name in domains)
        accepted(tmp_path, [route(Site(domains), app="a" * 31)], f"127.0.0.1:{free_ports(1)[0]}")

    def test_nginx_accepts_a_site_under_the_defaults_of_a_distribution(self, tmp_path: Path) -> None:
        """The hash tables of nginx have room for words of up to about 46 characters by default."""
        site = nginx_site.site_text(
            route(Site(("a" * 35 + ".test",)), app="a" * 31), ["127.0.0.1:18080", "[::1]:18080"]
        )
        (tmp_path / "site").write_text(site)
        (tmp_path / "nginx.conf").write_text("pid x.pid; events {}\nhttp { access_log off; include site; }")
        argv = [str(NGINX), "-t", "-p", f"{tmp_path}/", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr

    @pytest.mark.parametrize("added", [0, 1, 40], ids=["nothing", "one header", "40 headers"])
    def test_nginx_warns_of_no_table_of_headers_when_directives_add_some(self, added: int, tmp_path: Path) -> None:
        """At cd5f48e the header of the documentation gave "could not build optimal proxy_headers_hash"."""
        header = "proxy_set_header CF-Connecting-IP $http_cf_connecting_ip;"
        more = (f"proxy_set_header X-Of-The-Shop-{number} $http_x_of_the_shop_{number};" for number in range(added - 1))
        rules = ProxyRules(directives=(header, *more) if added else ())
        accepted(tmp_path, [ruled(rules)], f"127.0.0.1:{free_ports(1)[0]}")

    @pytest.mark.parametrize("own", [*(f"{name} 2048;" for name in HEADERS_TABLE), "proxy_max_temp_file_size 64m;"])
    def test_table_of_headers_may_have_a_size_of_the_users_own(self, own: str, tmp_path: Path) -> None:
        accepted(tmp_path, [ruled(ProxyRules(directives=(own,)))], f"127.0.0.1:{free_ports(1)[0]}")
