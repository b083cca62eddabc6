"""Values for property tests: values that the grammar allows, and junk that is close to them."""

import copy
import re
from typing import Any

from hypothesis import strategies as st

from teal_host.wire import grammar, site_grammar
from teal_host.wire.app import AppSpec, Health, Keep, Ports, ProxyRules, Run, Sandbox, Site, Verify
from teal_host.wire.manifest import Entry, Manifest, Needs, Origin, digest_of
from teal_host.wire.requests import Deploy

APPS = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True).filter(lambda name: name != "teal")
PORTS = st.integers(1, 65535)
APP_PORTS = st.integers(1024, 65535)
LABELS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?", fullmatch=True)
DOMAINS = st.lists(LABELS, min_size=1, max_size=5).map(".".join).filter(lambda name: site_grammar.domain(name) is None)
URL_PATHS = st.from_regex(r"/([A-Za-z0-9._~!$&'()*+,;=:@%?-][A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,20})?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
ARGUMENTS = TEXT.filter(lambda text: grammar.argument(text) is None)
ENV = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda name: grammar.env_name(name) is None),
    TEXT,
    max_size=4,
)
LINES = st.text(st.characters(categories=["L", "N", "P"]), max_size=40)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT.map(lambda text: text.replace("{", "(")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
WANTED = st.none() | st.dictionaries(TEXT, JSON, max_size=3)

PAIRS = st.builds(Ports, APP_PORTS, APP_PORTS).filter(lambda pair: pair.blue != pair.green)
SITES = st.builds(Site, st.lists(DOMAINS, max_size=3, unique=True).map(tuple), PORTS)
COMMANDS = (
    st.lists(ARGUMENTS, min_size=1, max_size=3)
    .map(tuple)
    .filter(
        lambda command: bool(command[0]) and not any(re.search(r"{(data_dir|port2)}", argument) for argument in command)
    )
)
RUNS = st.builds(Run, COMMANDS, st.none() | PAIRS, ENV, st.booleans(), st.none() | PAIRS)
STATUSES = st.integers(100, 599)
HEALTHS = st.builds(Health, URL_PATHS, STATUSES, WANTED, st.floats(0.1, 3600), st.integers(1, 100))
VERIFIES = st.builds(Verify, URL_PATHS, STATUSES, WANTED) | st.builds(Verify, st.none(), STATUSES)
KEEPS = st.builds(Keep, st.integers(2, 1000), st.booleans(), st.floats(0, 3600), st.floats(0, 3600))
DIRECTIVES = st.sampled_from(
    ["a b;", "location /x {\n  b 'c }';\n}", 'a ${b} "\\";";', "a; # }", "lua_by_lua_block { '}' }"]
)
RULES = st.builds(
    ProxyRules,
    *(st.integers(0, 1_000_000), st.integers(1, 86_400), st.booleans(), st.booleans()),
    st.lists(DIRECTIVES, max_size=3).map(tuple),
)
SANDBOXES = st.builds(
    Sandbox,
    st.lists(st.from_regex(r"(/[a-z]{1,9}){1,3}", fullmatch=True), max_size=2).map(tuple),
    st.lists(st.sampled_from(["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]), max_size=2).map(tuple),
    st.lists(st.sampled_from(["@resources", "perf_event_open"]), max_size=2).map(tuple),
    *(st.none() | st.integers(8, 16_000_000), st.integers(4, 100_000), st.integers(64, 1_000_000)),
)
SPECS = st.builds(AppSpec, APPS, SITES, RUNS, HEALTHS, VERIFIES, KEEPS, RULES, SANDBOXES)

HEX = "0123456789abcdef"
DIGESTS = st.text(HEX, min_size=64, max_size=64)
NAMES = st.text(
    st.characters(categories=["L", "N"], include_characters=" -_.~'\"$;{}"), min_size=1, max_size=12
).filter(lambda name: grammar.file_path(name) is None)
FILES = st.builds(Entry, NAMES, st.just("file"), st.integers(0, 10**6), DIGESTS, st.booleans())
DIRS = st.builds(Entry, NAMES, st.just("dir"))
ENTRIES = st.lists(FILES | DIRS, min_size=1, max_size=4, unique_by=lambda entry: entry.path).map(tuple)
MANIFESTS = ENTRIES.map(lambda entries: Manifest(digest_of(entries), entries))
ORIGINS = st.builds(Origin, LINES, LINES, LINES, st.booleans(), LINES)
IDS = st.text(HEX, min_size=32, max_size=32)
NEEDS = st.builds(
    Needs, st.none() | NAMES.map(lambda name: f"/{name}"), st.none() | NAMES.map(lambda name: name.replace("/", ""))
)
DEPLOYS = st.builds(Deploy, SPECS, MANIFESTS, ORIGINS, IDS, st.floats(0, 86_400), st.booleans(), NEEDS)

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(10**400), 10**400, 0.5, -1, 0, 1e308, float("inf"), float("nan")]),
    st.text(st.characters(), max_size=10),
    st.sampled_from(["\ud800", "\0", "../x", "/", "x" * 70_000, "{", "{nope}", "-oProxyCommand=x", "a\nb", "ß" * 300]),
    st.lists(st.integers(), max_size=2),
    st.just([[[[1]]]]),
    st.dictionaries(st.sampled_from(["a", "", "\ud800", "blue", "path", "x" * 9000]), st.integers(), max_size=2),
)


@st.composite
def spoilt(draw: st.DrawFn, whole: Any) -> Any:
    """The value with one to three places changed, removed or added."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from(_holders(value)))
        keys = list(range(len(holder))) if isinstance(holder, list) else list(holder)
        what = draw(st.sampled_from(["change", "remove", "add"])) if keys else "add"
        if what == "add" and isinstance(holder, dict):
            holder[draw(st.sampled_from(["", "od d", "\ud800", "type", "sppec", "x" * 500]))] = copy.deepcopy(
                draw(JUNK)
            )
        elif what == "add":
            holder.append(copy.deepcopy(draw(JUNK)))
        elif what == "change":
            holder[draw(st.sampled_from(keys))] = copy.deepcopy(draw(JUNK))
        else:
            del holder[draw(st.sampled_from(keys))]
    return value


def _holders(value: Any) -> list[Any]:
    """Every object and list inside the value."""
    inside = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else None
    return [] if inside is None else [value, *(holder for item in inside for holder in _holders(item))]
