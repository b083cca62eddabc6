"""Who may import whom. The folders are the floors, so this table is the tree. A new folder must get its floor here."""

import sys
from collections.abc import Iterator

import pytest

from rules.source import CLIENT, HOST, MODULES

# From the ground up. A module imports from its own folder and from lower rows; folders of one row are strangers.
SERVER_SIDE: list[tuple[str, ...]] = [
    ("wire",),  # what both sides say
    ("ground",),  # files, programs, processes, paths, errors
    ("pipe",),  # the channel to the client
    ("state",),  # what there is, as values; the seams
    ("supervisors", "proxies"),  # systemd or plain processes; nginx
    ("steps",),
    ("preparations",),
    ("checks",),
    ("provisioning",),  # setup agrees, or a deploy does
    ("stories",),
    ("",),  # start, main
]
CLIENT_SIDE: list[tuple[str, ...]] = [
    ("ground",),
    ("config", "ui", "transports", "scaffold"),
    ("pipe",),
    ("building",),
    ("sending",),
    ("stories",),
    ("demo",),
    ("cli",),
    ("",),
]
TRAVELS = ("teal.pipe.stage0", "teal.pipe.stage1")  # they run on the server
MOST_MODULES = 16
SIBLINGS = {"teal.scaffold.languages", "teal.cli"}  # one kind each: a language, a command


def _folder(name: str) -> str:
    """The first folder of a module below its side; none for those at its root."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 or name in _PACKAGES else ""


_PACKAGES = {name.rpartition(".")[0] for name in MODULES}


def _floor(name: str) -> int:
    rows = SERVER_SIDE if name.split(".", maxsplit=1)[0] == "teal_host" else CLIENT_SIDE
    for number, folders in enumerate(rows):
        if _folder(name) in folders:
            return number
    raise AssertionError(f"{name} lies in a folder that has no floor in tests/rules/test_layers.py")


def _of_its_side(name: str) -> Iterator[str]:
    side = name.split(".", maxsplit=1)[0]
    tops = {side, "teal"}  # the version stands in teal itself
    return (
        other
        for other in MODULES[name].imports
        if other in MODULES and other.split(".")[0] == side and other not in tops
    )


@pytest.mark.parametrize("name", [*HOST, *CLIENT])
def test_module_imports_only_downward(name: str) -> None:
    for imported in _of_its_side(name):
        if _folder(imported) != _folder(name):
            assert _floor(imported) < _floor(name), f"{name} imports {imported}, which is not below it"


@pytest.mark.parametrize("name", list(MODULES))
def test_imports_form_no_circle(name: str) -> None:
    below, waiting = set(), list(_of_its_side(name))
    while waiting:
        imported = waiting.pop()
        assert imported != name, f"{name} imports itself in a circle"
        if imported not in below and imported not in _PACKAGES:
            below.add(imported)
            waiting += _of_its_side(imported)


def _whole_folder(name: str) -> str:
    """The folder of a module, however deep; a package is its own folder."""
    return name if name in _PACKAGES else name.rpartition(".")[0]


def _folders_below(folder: str) -> set[str]:
    """The folders from which modules of this one import."""
    inside = (name for name in MODULES if _whole_folder(name) == folder)
    return {_whole_folder(other) for name in inside for other in _of_its_side(name)} - {folder}


@pytest.mark.parametrize("folder", sorted(_PACKAGES))
def test_folders_form_no_circle_however_deep_they_lie(folder: str) -> None:
    below: set[str] = set()
    waiting = _folders_below(folder)
    while waiting - below:
        below |= waiting
        waiting = {deeper for other in waiting for deeper in _folders_below(other)}
    assert folder not in below, f"{folder} imports itself in a circle of folders"


@pytest.mark.parametrize("name", list(HOST))
def test_server_side_imports_the_standard_library_only(name: str) -> None:
    for imported in HOST[name].imports:
        top = imported.split(".")[0]
        assert top == "teal_host" or top in sys.stdlib_module_names, f"{name} imports {imported}"


@pytest.mark.parametrize("name", list(CLIENT))
def test_client_imports_only_the_wire_of_the_server_side(name: str) -> None:
    assert set(TRAVELS) <= set(CLIENT), "an exception for a module that is gone"
    for imported in CLIENT[name].imports:
        if imported.startswith("teal_host"):
            allowed = imported.startswith("teal_host.wire") or imported == "teal_host" or name in TRAVELS
            assert allowed, f"{name} imports {imported}, which is not the wire"


def test_folder_holds_at_most_sixteen_modules() -> None:
    for package in _PACKAGES - SIBLINGS:
        inside = [name for name in MODULES if name.rpartition(".")[0] == package and name not in _PACKAGES]
        assert len(inside) <= MOST_MODULES, f"{package} has {len(inside)} modules"


def test_every_floor_has_its_folder() -> None:
    for side, rows in (("teal_host", SERVER_SIDE), ("teal", CLIENT_SIDE)):
        named = {folder for row in rows for folder in row}
        assert named - {""} == {
            name.split(".")[1] for name in _PACKAGES if name.count(".") and name.split(".")[0] == side
        }
