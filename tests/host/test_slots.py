"""The link decides which color is live. Teal does not guess what a damaged link means."""

from pathlib import Path

import pytest

from teal_host.ground.errors import NeedsHuman
from teal_host.ground.paths import AppPaths
from teal_host.state.slots import Slots, assign_release, read_slots
from teal_host.wire.reports import Color

ONE, TWO = "0001-aaaaaaaaaaaa", "0002-bbbbbbbbbbbb"


@pytest.fixture
def paths(tmp_path: Path) -> AppPaths:
    made = AppPaths(tmp_path, "shop")
    made.home.mkdir(parents=True)
    return made


def lay(paths: AppPaths, live: str | None, blue: str | None, green: str | None) -> None:
    for color, release in (("blue", blue), ("green", green)):
        if release is not None:
            assign_release(paths, "blue" if color == "blue" else "green", release)
    if live is not None:
        paths.live.symlink_to(live)


@pytest.mark.parametrize(
    ("live", "releases", "idle", "live_release"),
    [
        (None, {"blue": None, "green": None}, "blue", None),
        (None, {"blue": ONE, "green": None}, "blue", None),
        ("blue", {"blue": ONE, "green": None}, "green", ONE),
        ("green", {"blue": ONE, "green": TWO}, "blue", TWO),
        ("blue", {"blue": ONE, "green": TWO}, "green", ONE),
        ("green", {"blue": ONE, "green": None}, "blue", None),
    ],
)
def test_slots_are_read_from_the_links(
    paths: AppPaths, live: Color | None, releases: dict[Color, str | None], idle: Color, live_release: str | None
) -> None:
    lay(paths, live, releases["blue"], releases["green"])
    slots = read_slots(paths)
    assert slots == Slots(live, releases)
    assert (slots.idle, slots.live_release) == (idle, live_release)


def test_slots_are_empty_when_the_app_does_not_exist(tmp_path: Path) -> None:
    assert read_slots(AppPaths(tmp_path, "shop")) == Slots(None, {"blue": None, "green": None})


@pytest.mark.parametrize("target", ["red", "blue/green", "..", "/", "/etc", "blue2", "BLUE", "releases/x", "."])
@pytest.mark.row("A15")
def test_live_link_to_nonsense_needs_a_human_and_says_what_to_type(paths: AppPaths, target: str) -> None:
    lay(paths, target if target != "blue/green" else "green/other", ONE, TWO)
    with pytest.raises(NeedsHuman, match="which is no color") as refused:
        read_slots(paths)
    assert f"ln -sfn blue {paths.live}" in refused.value.hint


@pytest.mark.parametrize("target", ["blue", "./blue", "{home}/blue"])
def test_live_link_made_by_hand_counts_however_it_is_written(paths: AppPaths, target: str) -> None:
    lay(paths, target.format(home=paths.home), ONE, TWO)
    assert read_slots(paths).live == "blue"


@pytest.mark.parametrize("what", ["file", "directory"])
def test_live_link_needs_a_human_when_it_is_a_file_or_a_directory(paths: AppPaths, what: str) -> None:
    if what == "file":
        paths.live.write_text("blue")
    else:
        paths.live.mkdir()
    with pytest.raises(NeedsHuman, match="is not a link"):
        read_slots(paths)


def test_live_link_needs_a_human_when_it_points_to_itself(paths: AppPaths) -> None:
    paths.live.symlink_to("live")
    with pytest.raises(NeedsHuman, match="no color"):
        read_slots(paths)


@pytest.mark.parametrize("target", ["../releases/nonsense", "../../../etc", "/", "0001-aaaa", "../releases/"])
def test_color_holds_no_release_when_its_link_is_nonsense(paths: AppPaths, target: str) -> None:
    paths.color("blue").home.mkdir()
    paths.color("blue").release.symlink_to(target)
    assert read_slots(paths).releases["blue"] is None


def test_color_holds_no_release_when_a_directory_replaces_its_link(paths: AppPaths) -> None:
    paths.color("green").release.mkdir(parents=True)
    assert read_slots(paths).releases["green"] is None


@pytest.mark.parametrize(
    ("live", "blue", "green", "release", "color"),
    [
        ("blue", ONE, TWO, ONE, "blue"),
        ("blue", ONE, TWO, TWO, "green"),
        ("green", ONE, ONE, ONE, "green"),
        ("blue", ONE, ONE, ONE, "blue"),
        ("blue", ONE, None, TWO, None),
        (None, ONE, None, ONE, "blue"),
    ],
)
def test_release_is_found_on_its_color_and_on_the_live_color_first(
    live: Color | None, blue: str | None, green: str | None, release: str, color: Color | None
) -> None:
    assert Slots(live, {"blue": blue, "green": green}).color_of(release) == color


def test_color_has_the_marker_that_nginx_asks_for(paths: AppPaths) -> None:
    lay(paths, "green", ONE, TWO)
    assert (paths.live / "green").is_file()
    assert not (paths.live / "blue").exists()
    assert str(paths.color("green").release.readlink()) == f"../releases/{TWO}"


def test_color_takes_the_next_release_and_leaves_no_temporary_file(paths: AppPaths) -> None:
    assign_release(paths, "blue", ONE)
    assign_release(paths, "blue", TWO)
    assert read_slots(paths).releases["blue"] == TWO
    assert sorted(path.name for path in paths.color("blue").home.iterdir()) == ["blue", "release"]
