"""Who may import whom. A new module must be given its floor here, or this fails."""

import sys

import pytest

from rules.source import CLIENT, HOST, MODULES

# The server side, from the ground up; a module imports only from floors below its own, or from its own where allowed.
FLOORS: list[set[str]] = [
    {"wire.values"},
    {"wire.typed", "wire.frames", "wire.nginx_words", "wire.sources"},
    {"wire.grammar", "wire.patch"},
    {"wire.app", "wire.manifest"},
    {"wire.reports", "wire.uploads"},
    {"wire.messages"},
    {"errors", "paths"},
    {"files", "proc", "ask", "installed"},
    {"run", "journal", "launch", "greet", "unpack"},
    {"footprint"},
    {"supervisors.base", "proxies.base", "proxies.nginx_tree", "lock", "talk", "act"},
    {"supervisors.log_file", "supervisors.unit_text", "proxies.nginx_sites", "proxies.nginx_logs"},
    {
        "supervisors.process",
        "supervisors.systemd",
        "proxies.nginx_text",
        "record",
        "agreement",
        "proxies.nginx_program",
    },
    {"proxies.own_nginx", "proxies.system_nginx", "proxies.nginx_trial", "app", "slot", "environment", "pump", "stock"},
    {"release", "candidate", "needs", "outcome", "preparations.base", "permit"},
    {
        "preparations.packages",
        "preparations.account",
        "preparations.server_side",
        "preparations.unit",
        "preparations.route",
    },
    {"preparations.deploy_key"},
    {"preparations.undo"},
    {"health", "switch", "drain", "prune", "status", "logs", "env", "one_off", "upload", "tally"},
    {"checks.base"},
    {"checks.words", "checks.machine", "checks.room", "checks.history", "checks.agreed", "checks.owner"},
    {"checks.exposed", "checks.own", "checks.route", "checks.keys"},
    {"checks.colors", "checks.systemd", "checks.nginx"},
    {"doctor"},
    {"watch"},
    {"bring_live"},
    {"recover", "destroy"},
    {"deploy"},
    {"rollback", "setup"},
    {"main"},
    {"start"},
]
PACKAGES = {"", "wire", "supervisors", "proxies", "preparations", "checks"}

# The client: each group may import the groups named with it, and the wire.
CLIENT_MAY: dict[str, set[str]] = {
    "cli": {
        "look",
        "env",
        "one_off",
        "login",
        "setup",
        "deploy",
        "ended",
        "errors",
        "config",
        "ui",
        "scaffold",
        "demo",
        "files",
    },
    "demo": {"look", "deploy", "ended", "errors", "config", "ui", "files"},
    "env": {"origin", "session", "transports", "errors", "config", "ui"},
    "one_off": {"origin", "session", "transports", "errors", "config"},
    "look": {"domains", "session", "transports", "errors", "config"},
    "domains": set(),
    "setup": {"origin", "session", "transports", "config", "errors", "ui"},
    "deploy": {
        "connecting",
        "machines",
        "build",
        "artifact",
        "fits",
        "upload",
        "origin",
        "session",
        "transports",
        "ended",
        "errors",
        "config",
        "ui",
    },
    "upload": {"cache", "choice", "patches", "executable", "packing", "artifact", "session", "errors", "ui"},
    "patches": {"cache", "choice", "delta", "packing", "artifact"},
    "cache": {"files", "errors"},
    "choice": set(),
    "delta": set(),
    "packing": set(),
    "fits": {"executable", "artifact", "build", "machines", "errors"},
    "executable": set(),
    "ended": {"errors"},
    "login": {"programs", "transports", "config", "errors"},
    "session": {"bootstrap", "greeting", "echo", "programs", "transports", "errors"},
    "greeting": {"transports", "errors"},
    "connecting": {"session", "errors", "ui"},
    "machines": {"files", "errors"},
    "build": {"machines", "programs", "config", "errors"},
    "artifact": {"config", "errors"},
    "origin": {"programs"},
    "config": {"errors"},
    "ui": set(),
    "scaffold": set(),
    "transports": {"errors"},
    "programs": set(),
    "files": {"errors"},
    "errors": set(),
    "bootstrap": set(),
    "echo": set(),
    "stage0": set(),
    "stage1": set(),
}


def _floor(name: str) -> int:
    short = name.removeprefix("teal_host").removeprefix(".")
    for number, names in enumerate(FLOORS):
        if short in names:
            return number
    raise AssertionError(f"{name} has no floor in tests/rules/test_layers.py")


def _modules_of_the_host() -> list[str]:
    return [name for name in HOST if name.removeprefix("teal_host").removeprefix(".") not in PACKAGES]


@pytest.mark.parametrize("name", _modules_of_the_host())
def test_the_server_side_imports_only_from_below(name: str) -> None:
    for imported in HOST[name].imports:
        if imported in HOST and imported.removeprefix("teal_host").removeprefix(".") not in PACKAGES:
            assert _floor(imported) < _floor(name), f"{name} imports {imported}, which is not below it"


@pytest.mark.parametrize("name", list(HOST))
def test_the_server_side_has_the_standard_library_only(name: str) -> None:
    for imported in HOST[name].imports:
        top = imported.split(".")[0]
        assert top == "teal_host" or top in sys.stdlib_module_names, f"{name} imports {imported}"


@pytest.mark.parametrize("name", list(CLIENT))
def test_the_client_imports_one_way_and_only_the_wire_of_the_server_side(name: str) -> None:
    group = _group(name)
    for imported in CLIENT[name].imports:
        if imported.startswith("teal_host"):
            travels = name in ("teal.stage0", "teal.stage1")  # it runs over there
            allowed = imported.startswith("teal_host.wire") or imported == "teal_host" or travels
            assert allowed, f"{name} imports {imported}, which is not the wire"
        elif imported.startswith("teal.") and _group(imported) != group:
            assert _group(imported) in CLIENT_MAY[group], f"{name} imports {imported}"


def _group(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else "cli"


def test_floors_name_only_modules_that_exist() -> None:
    named = {f"teal_host.{short}" for floor in FLOORS for short in floor}
    assert named <= set(MODULES)
