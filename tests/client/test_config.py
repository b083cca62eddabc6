"""teal.toml as values: every key, every default, and every mistake with its line."""

import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from teal.config.model import Build, Config, ServerSection
from teal.config.read import ConfigFile, load
from teal.ground.errors import ConfigError
from teal_host.wire.app import Health, Https, Keep, Ports, ProxyRules, Run, Sandbox, Site, Verify

SHORT = 'app = "shop"\n[run]\ncommand = ["./app"]\n'
WHOLE = """
app = "bluegreen-demo"

[build]                                   # runs here, never on the server
command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", "dist/app", "./cmd"]
env = { GOOS = "linux", GOARCH = "{goarch}", CGO_ENABLED = "0" }
artifact = "dist/app"

[server]
target = "ssh://root@203.0.113.10:22"
domains = ["example.com", "www.example.com"]
http_port = 81
redirects = ["example.org"]

[run]
command = ["./app", "--port", "{port}", "--color", "{color}"]
ports = { blue = 8181, green = 8182 }
ports2 = { blue = 9181, green = 9182 }
env = { LOG_LEVEL = "info", EMPTY = "" }
data = true

[health]
path = "/health"
status = 204
json = { message = "ok", deep = { list = [1, 2.5, true] } }
deadline_s = 31
successes = 4

[verify]
path = "/status"
status = 203
json = { color = "{color}" }

[keep]
releases = 6
previous_running = false
fallback = false
watch_s = 11
drain_s = 32.5

[proxy]
max_body_mb = 7
read_timeout_s = 8
gzip = false
buffering = true
directives = ["deny all;", '''location /x {
  return 204;
}''']
trusted = ["cloudflare", "203.0.113.0/24"]

[sandbox]
writable = ["/srv/uploads"]
capabilities = ["CAP_NET_RAW"]
system_calls = ["@resources", "perf_event_open"]
memory_mb = 256
tasks = 99
open_files = 999

[https]
certificate = "files"
email = "me@example.com"
directory = "https://ca.example.com/dir"
ca_file = "ca.pem"
cert = "/etc/ssl/cert.pem"
key = "/etc/ssl/key.pem"
redirect = false
hsts_days = 30
http3 = true
"""
CA = "-----BEGIN CERTIFICATE-----\n"
ENV = {"GOOS": "linux", "GOARCH": "{goarch}", "CGO_ENABLED": "0"}
EVERY_KEY = Config(
    app="bluegreen-demo",
    build=Build(("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "dist/app", "./cmd"), ENV, "dist/app"),
    server=ServerSection("ssh://root@203.0.113.10:22", ("example.com", "www.example.com"), 81, ("example.org",)),
    run=Run(
        ("./app", "--port", "{port}", "--color", "{color}"),
        Ports(8181, 8182),
        {"LOG_LEVEL": "info", "EMPTY": ""},
        True,
        Ports(9181, 9182),
    ),
    health=Health("/health", 204, {"message": "ok", "deep": {"list": [1, 2.5, True]}}, 31.0, 4),
    verify=Verify("/status", 203, {"color": "{color}"}),
    keep=Keep(6, False, 11.0, 32.5, False),
    proxy=ProxyRules(
        7, 8, False, True, ("deny all;", "location /x {\n  return 204;\n}"), ("cloudflare", "203.0.113.0/24")
    ),
    sandbox=Sandbox(("/srv/uploads",), ("CAP_NET_RAW",), ("@resources", "perf_event_open"), 256, 99, 999),
    https=Https(
        *("files", "me@example.com", "https://ca.example.com/dir", CA, "/etc/ssl/cert.pem", "/etc/ssl/key.pem"),
        redirect=False,
        hsts_days=30,
        http3=True,
    ),
)

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "teal.toml"
        path.write_text(text)
        path.with_name("ca.pem").write_text(CA)
        return path

    return written


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(path)
    return list(refused.value.evidence)


def test_config_reads_every_key(write: Write) -> None:
    assert load(write(WHOLE)).config == EVERY_KEY


def test_sample_config_sets_every_key_to_a_value_other_than_its_default() -> None:
    """Whoever adds a key must add the key to WHOLE, with a value that is not the default."""
    for value, default in _pairs(EVERY_KEY, Config("x", Run(("./x",)))):
        assert value != default


def _pairs(value: Any, default: Any) -> list[tuple[Any, Any]]:
    collected: list[tuple[Any, Any]] = []
    for field in fields(value):
        mine, other = getattr(value, field.name), getattr(default, field.name)
        collected += _pairs(mine, other) if is_dataclass(mine) and is_dataclass(other) else [(mine, other)]
    return collected


def test_config_defaults_are_the_documented_ones(write: Write) -> None:
    config = load(write(SHORT)).config
    assert config.build == Build(command=(), env={}, artifact=None)
    assert config.server == ServerSection(target="local", domains=(), http_port=None)
    assert config.run == Run(command=("./app",), ports=None, env={}, data=False)
    assert config.health == Health(path="/healthz", status=200, json=None, deadline_s=30.0, successes=3)
    assert config.verify == Verify(path=None, status=200, json=None)
    assert config.keep == Keep(releases=5, previous_running=True, watch_s=10.0, drain_s=30.0)


@pytest.mark.parametrize(
    ("server", "site"),
    [
        ("", Site((), 8080)),
        ('target = "local"', Site((), 8080)),
        ('target = "ssh://root@203.0.113.10"', Site((), 80)),
        ('target = "multipass://demo"', Site((), 80)),
        ("http_port = 9000", Site((), 9000)),
        ('target = "ssh://a"\nhttp_port = 9000\ndomains = ["a.test"]', Site(("a.test",), 9000)),
    ],
)
def test_site_port_defaults_to_8080_locally_and_80_on_a_server(write: Write, server: str, site: Site) -> None:
    assert load(write(f"{SHORT}[server]\n{server}\n")).config.server.site == site


def test_config_tables_may_be_empty(write: Write) -> None:
    empty = "".join(f"[{name}]\n" for name in ("build", "server", "health", "verify", "keep"))
    assert load(write(SHORT + empty)).config == load(write(SHORT)).config


@pytest.mark.parametrize(
    "target",
    [
        "local",
        "ssh://host",
        "ssh://root@203.0.113.10",
        "ssh://root@203.0.113.10:22",
        "ssh://deploy@shop.example.com:2222/",
        "ssh://root@[2001:db8::1]:22",
        "ssh://alias_of-ssh.config",
        "ssh://me@[fe80::1%eth0]",
        "ssh://root@host:65535",
        "multipass://bluegreen-demo",
    ],
)
def test_config_accepts_every_kind_of_target(write: Write, target: str) -> None:
    assert load(write(f'{SHORT}[server]\ntarget = "{target}"\n')).config.server.target == target


def test_app_spec_holds_the_parts_of_the_config_that_the_server_needs(write: Write) -> None:
    config = load(write(WHOLE)).config
    spec = config.spec
    assert (spec.app, spec.site, spec.run) == (config.app, config.server.site, config.run)
    assert (spec.health, spec.verify, spec.keep) == (config.health, config.verify, config.keep)


@pytest.mark.parametrize(
    "given", ["teal.toml", ".", "../here", "{tmp}/here/teal.toml", "{tmp}/here", "{tmp}/here/", None]
)
def test_config_is_found_by_its_file_or_by_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "teal.toml").write_text(SHORT)
    monkeypatch.chdir(here)
    collected = load(None if given is None else Path(given.format(tmp=tmp_path)))
    assert (collected.path, collected.directory) == (here / "teal.toml", here)


def test_config_file_may_have_another_name(tmp_path: Path) -> None:
    path = tmp_path / "staging.toml"
    path.write_text(SHORT)
    assert load(path) == ConfigFile(load(path).config, path)


def test_config_mistakes_come_all_at_once_in_the_order_of_the_file(write: Write) -> None:
    text = """app = "Shop"
[run]
comand = ["./app"]
ports = { blue = 80, green = 8082 }

[health]
path = "healthz"
status = "200"
json = { a = "{colour}" }
[server]
target = "ftp://x"
domains = [
  "ok.example",
  "not ok",
]
[nonsense]
[keep]
releases = 1
watch_s = 1e9
"""
    collected = [line.split(": ")[:2] for line in mistakes(write(text))]
    assert collected == [
        ["teal.toml:1", "app"],
        ["teal.toml:2", "run.command"],
        ["teal.toml:3", "run.comand"],
        ["teal.toml:4", "run.ports.blue"],
        ["teal.toml:7", "health.path"],
        ["teal.toml:8", "health.status"],
        ["teal.toml:11", "server.target"],
        ["teal.toml:12", "server.domains[1]"],
        ["teal.toml:16", "nonsense"],
        ["teal.toml:18", "keep.releases"],
        ["teal.toml:19", "keep.watch_s"],
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('# first\n\napp = "X"  # here\n[run]\ncommand = ["a"]\n', 3),
        ('app = "x"\n[run]\ncommand = [\n  "./app",\n  "{nope}",\n]\n', 3),
        ('app = "x"\nrun.command = ["./app"]\nrun.data = 1\n', 3),
        ('app = "x"\nrun = { command = ["./app"], data = 1 }\n', 2),
        ('app = "x"\n[run]\ncommand = ["./app"]\n[run.env]\nA = "1"\n"B-C" = "2"\n', 6),
        ('app = "x"\n[run]\ncommand = ["./app"]\n[run.env]\nA = """\na\nb\n"""\nPORT = "2"\n', 9),
        ('app = "x"\n[run]\ncommand = ["./app"]\n[run.env]\n"A.B" = "1"\n', 5),
        ('app = "x"\n[health]\npath = "/"\n[run]\n', 4),
        ('app = "x"\n', 1),
        ('app = "x"\n[run]\ncommand = ["./app"]\n[health]\npath = """/\nx"""\n', 5),
        ('app = "x"\n[run]\ncommand = ["./app"]  # a\u2028b\nenv = { A = "\u2028\x85" }\n[keep]\nx = 1\n', 6),
        ('app = "x"\r\n[run]\r\ncommand = ["./app"]\r\ndata = 7\r\n', 4),
        ('app = "x"\n[run]\ncommand = ["./app"]\nenv = { A = "x", "" = "y" }\n', 4),
    ],
)
def test_config_mistake_carries_the_line_on_which_its_key_begins(write: Write, text: str, line: int) -> None:
    (collected,) = mistakes(write(text))
    assert collected.startswith(f"teal.toml:{line}: ")


def test_config_mistakes_take_time_in_proportion_to_the_length_of_the_file(write: Write) -> None:
    """The time grows in proportion to the length: a file of 100 lines may take as long as 8 of 25 lines."""

    def seconds(lines: int) -> float:
        path = write(f"{SHORT}[run.env]\n" + "".join(f'"A-{number}" = "x"\n' for number in range(lines)))
        began = time.process_time()
        assert len(mistakes(path)) == lines
        return time.process_time() - began

    short = min(seconds(25) for _ in range(3))
    assert seconds(100) < 8 * short + 0.5


def test_teal_target_variable_replaces_the_target_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "teal.toml"
    path.write_text(f'{SHORT}[server]\ntarget = "ssh://root@203.0.113.10"\n')
    monkeypatch.setenv("TEAL_TARGET", "ssh://teal@203.0.113.10")
    config = load(path).config
    assert (config.server.target, config.spec) == ("ssh://teal@203.0.113.10", _without(path, monkeypatch).spec)


def test_teal_target_variable_is_checked_like_a_configured_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "teal.toml"
    path.write_text(SHORT)
    monkeypatch.setenv("TEAL_TARGET", "ssh://-oProxyCommand=x")
    with pytest.raises(ConfigError, match="TEAL_TARGET in the environment: 'ssh://-oProxyCommand=x' must be"):
        load(path)


def _without(path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.delenv("TEAL_TARGET")
    return load(path).config


@pytest.mark.parametrize("target", ["root@203.0.113.10", "203.0.113.10", "root@example.com:2222"])
def test_target_as_typed_for_ssh_is_refused_with_the_url_to_write(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "teal.toml").write_text(
        f'app = "shop"\n[run]\ncommand = ["./program"]\n[server]\ntarget = "{target}"\n'
    )
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path)
    assert f'did you mean "ssh://{target}"?' in wrong.value.evidence[0]
    (tmp_path / "teal.toml").write_text('app = "shop"\n[run]\ncommand = ["./program"]\n')
    monkeypatch.setenv("TEAL_TARGET", target)
    with pytest.raises(ConfigError, match=f'did you mean "ssh://{target}"'):
        load(tmp_path)


def test_config_with_a_key_of_many_parts_is_refused_at_once(write: Write) -> None:
    key = ".".join(["a", '"b"', "'c'"] * 20_000)
    with pytest.raises(ConfigError, match=r"more than 100 parts \(at line 2\)"):
        load(write(f"\n{key} = 1\n"))


def test_config_of_deep_tables_has_its_mistakes_with_lines(write: Write) -> None:
    deep = f"{{{'.'.join('a' * 99)} = "
    assert "teal.toml:1: app: is missing" in mistakes(write(f"x = {deep * 60}1{'}' * 60}"))


def test_config_mistakes_of_one_endless_statement_come_in_bounded_time(write: Write) -> None:
    """In the tree of 768eec4 each of its lines was read again with all lines before it: hours for these 300 kB."""
    assert "teal.toml:1: x: unknown key" in mistakes(write('x = """' + "\n" * 300_000 + '"""\n'))


def test_config_file_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a:b.toml").write_text("x = 1\n")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "a:b.toml")
    assert all(line.startswith("a:b.toml:1: ") for line in raised.value.evidence)
