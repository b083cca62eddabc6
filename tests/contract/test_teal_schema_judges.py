"""schemas/teal.schema.json and Teal judge every teal.toml alike, as far as a schema can express the rules."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from contract.judge import complaint, good_but
from teal.config.model import Config
from teal_host.wire.typed import Mistakes, decode


def _teal_takes(value: dict[str, Any]) -> bool:
    try:
        decode(Config, value)
    except Mistakes:
        return False
    return True


def _both_take(value: dict[str, Any]) -> bool:
    """The judgement of Teal and of the schema, which must be the same."""
    problem = complaint("teal", value)
    assert (problem is None) == _teal_takes(value), problem or "the schema takes what Teal refuses"
    return problem is None


GOOD = """
app = "a-1-b"
build.command = []
build.env.PORT = "{goarch} {arch} {os} {}"
build.artifact = "some dir/app"
server.target = "ssh://example.com"
server.target = "ssh://me@[2001:db8::1%eth0]:65535/"
server.target = "multipass://Blue-1"
server.domains = ["example.com", "_acme.example.com", "a--b.x1", "localhost"]
server.domains = ["example.com", "*.example.com", "*.a.example.com"]
server = { domains = ["example.com"], redirects = ["www.example.com", "*.example.org"] }
server.http_port = 65535
run.command = ["app", "--port={port}", "{Port} {1} {}", ""]
run.data = true
run.ports = { green = 1024, blue = 65535 }
run.env = { _a1 = "", TEALS = "x", PORTS = "1" }
health.path = "/h?color={color}&x=%20"
health.status = 599
health.json = { a = { b = ["{color}", 1, 1.5, true] } }
health.deadline_s = 1
health.deadline_s = 0.1
health.successes = 100
verify.status = 404
verify = { path = "/", json = {} }
keep.releases = 2
keep.watch_s = 0
keep.drain_s = 3600.0
proxy = { max_body_mb = 0, read_timeout_s = 86400, gzip = false, buffering = true }
proxy.directives = ["deny all;", "location /x { return 204; }", "a\\n\\t'b }';", "a ${b}c; # }"]
sandbox.writable = ["/srv/uploads", "/a/..b/.c"]
sandbox.capabilities = ["CAP_NET_RAW"]
sandbox.system_calls = ["@resources", "perf_event_open"]
proxy.trusted = ["cloudflare", "203.0.113.0/24", "2001:db8::7", "10.0.0.1"]
https.certificate = "none"
https = { email = "me.x+y@example.com", directory = "https://ca.example.com:14000/dir", ca_file = "ca.pem" }
https = { redirect = false, hsts_days = 3650, http3 = true }
sandbox = { memory_mb = 8, tasks = 4, open_files = 1000000 }
"""

BAD = """
server.domains = ["*.example.com"]
server.domains = ["example.com", "*.*.example.com"]
server.domains = ["example.com", "a.*.com"]
server.domains = ["example.com", "*"]
server.redirects = ["www.example.com"]
proxy.trusted = "cloudflare"
proxy.trusted = ["example.com"]
proxy.trusted = ["0.0.0.0/0"]
proxy.trusted = ["::/0"]
https.certificate = "file"
https.certificate = "letsencrypt"
https.certificate = "files"
https.cert = "/etc/ssl/cert.pem"
https.email = "me"
https.directory = "http://ca.example.com/dir"
https.ca_file = "ca.pem"
https.hsts_days = -1
https.redirect = "yes"
app = "teal"
app = "Shop"
app = "1shop"
app = ""
app = "abcdefghijklmnopqrstuvwxyz-123456"
app = 7
nap = "shop"
build = []
build.command = "make"
build.command = [""]
build.command = ["make", "{port}"]
build.env = { "A B" = "" }
build.env.A = 1
build.env.A = "{color}"
build.artifact = " "
build.artefact = "app"
server.target = "ssh://-oProxyCommand=x"
server.target = "ssh://example.com:0"
server.target = "ssh://example.com:65536"
server.target = "ssh://a b"
server.target = "http://example.com"
server.target = "multipass://"
server.domains = "example.com"
server.domains = ["Example.com"]
server.domains = ["example.com."]
server.domains = ["127.0.0.1"]
server.domains = ["*.example.com"]
server.domains = ["_"]
server.domains = ["a.b", "a.b"]
server.domains = ["a b"]
server.domains = ["-a.b"]
server.http_port = 0
server.http_port = 65536
server.http_port = "80"
server.http_port = true
run = {}
run.command = []
run.command = ["", "x"]
run.command = "./app"
run.command = ["./app", "{prot}"]
run.command = ["./app", "{data_dir}"]
run.command = ["./app", "\\u0000"]
run.ports = { blue = 8081 }
run.ports = { blue = 80, green = 8082 }
run.ports = { blue = 8081, green = 8082, red = 8083 }
run.env = { PORT = "1" }
run.env = { TEAL_X = "1" }
run.env = { "1A" = "1" }
run.env = { A = 1 }
run.env = { A = "\\u0000" }
run.data = "yes"
health.path = "healthz"
health.path = "//evil.example.com/"
health.path = "/a b"
health.path = "/{pid}"
health.path = "/\\r\\nX: y"
health.status = 99
health.status = 600
health.status = "200"
health.json = []
health.json = { a = "{pid}" }
health.json = { a = [{ b = "{pid}" }] }
health.json = { "{pid}" = 1 }
health.json = { at = 2026-01-01 }
health.deadline_s = 0
health.deadline_s = "30"
health.successes = 0
health.successes = 1.5
verify = { json = { color = "{color}" } }
verify.path = ""
keep.releases = 1
keep.previous_running = 1
keep.watch_s = -1
keep.drain_s = 3601
keep.drain = 1
proxy.max_body_mb = -1
proxy.max_body_mb = 1.5
proxy.max_body = 10
proxy.read_timeout_s = 0
proxy.gzip = "on"
proxy.buffering = 1
proxy.directives = "deny all;"
proxy.directives = [""]
proxy.directives = ["deny all"]
proxy.directives = ["a\\r;"]
proxy.directives = ["\\u0000;"]
sandbox.writable = ["srv"]
sandbox.writable = ["/"]
sandbox.writable = ["/srv/../etc"]
sandbox.writable = ["/a b"]
sandbox.writable = ["/a%h"]
sandbox.capabilities = ["CAP_SYS_ADMIN"]
sandbox.capabilities = ["NET_RAW"]
sandbox.capabilities = "CAP_NET_RAW"
sandbox.system_calls = ["@a b"]
sandbox.system_calls = ["~@clock"]
sandbox.memory_mb = 7
sandbox.tasks = 3
sandbox.open_files = 63
"""


def _value(line: str) -> dict[str, Any]:
    place, _, value = line.partition(" = ")
    return good_but(place, tomllib.loads(f"value = {value}")["value"])


@pytest.mark.parametrize("line", GOOD.strip().splitlines())
def test_schema_and_teal_accept_the_same_line(line: str) -> None:
    assert _both_take(_value(line))


@pytest.mark.parametrize("line", BAD.strip().splitlines())
def test_schema_and_teal_refuse_the_same_line(line: str) -> None:
    assert not _both_take(_value(line))


TEXTS = {
    "app": "abtel-19AZ_",
    "server.target": "ssh:/localmutip@[]%09.-AZ",
    "health.path": "/{}portclo?&=% ~x",
    "build.artifact": " \t\x00a/",
}
LISTS = {"server.domains": "abz09-_.A* ", "run.command": "{}portclo_a \x00", "build.command": "{}goarchs_ \x00"}
NAMED = {"run.env": "APORTEL_a1 -", "build.env": "APORT_a1 -"}


@pytest.mark.parametrize("place", list(TEXTS))
@settings(deadline=None)
@given(data=some.data())
def test_schema_and_teal_judge_any_text_the_same(place: str, data: some.DataObject) -> None:
    starts = some.sampled_from(["", "ssh://", "ssh://a:", "multipass://", "/", "/{port}", "tea"])
    text = data.draw(starts) + data.draw(some.text(TEXTS[place], max_size=40))
    _both_take(good_but(place, text))


@pytest.mark.parametrize("place", list(LISTS))
@settings(deadline=None)
@given(data=some.data())
def test_schema_and_teal_judge_any_list_of_texts_the_same(place: str, data: some.DataObject) -> None:
    texts = data.draw(some.lists(some.text(LISTS[place], max_size=20), max_size=4))
    _both_take(good_but(place, texts))


@pytest.mark.parametrize("place", list(NAMED))
@settings(deadline=None)
@given(data=some.data())
def test_schema_and_teal_judge_any_name_the_same(place: str, data: some.DataObject) -> None:
    names = some.one_of(some.sampled_from(["PORT", "TEAL_A", "A"]), some.text(NAMED[place], max_size=8))
    _both_take(good_but(place, {data.draw(names): "value"}))
