"""The colors of an app. Which one is live is read from the link, each time."""

import stat
from typing import Dict, Optional

from teal_host.ground import files
from teal_host.ground.errors import NeedsHuman
from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.ground.remedies import on_host
from teal_host.wire.grammar import COLORS, Color, other_color, release_name
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class Slots:
    """What the links point to. `first`: where a release starts while nothing is live."""

    live: Optional[Color]
    releases: Dict[Color, Optional[str]]
    first: Color = COLORS[0]

    @property
    def idle(self) -> Color:
        """Where the next release is started."""
        return other_color(self.live) if self.live else self.first

    @property
    def live_release(self) -> Optional[str]:
        return self.releases[self.live] if self.live else None

    def color_of(self, release: str) -> Optional[Color]:
        """The color that holds this release; the live one first."""
        order = sorted(COLORS, key=lambda color: color != self.live)
        return next((color for color in order if self.releases[color] == release), None)


def read_slots(paths: AppPaths) -> Slots:
    """Of one moment: a switch or a destroy may come between two looks. Raises NeedsHuman when the live link points to
    no color.
    """
    live = _live(paths)
    slots = Slots(live, {color: _release(paths, color) for color in COLORS})
    return slots if _live(paths) == live else read_slots(paths)


def assign_release(paths: AppPaths, color: Color, release: str) -> None:
    """Make this release the one that the color runs next."""
    slot_paths = paths.color(color)
    files.make_dir(slot_paths.home)
    if not slot_paths.marker.exists():
        files.write(slot_paths.marker, "")
    files.turn_link(slot_paths.release, f"../releases/{release}")


def ask_on_socket(slot: ColorPaths, on_socket: bool) -> None:
    """From now on nginx asks this color on its socket; else on its port."""
    if not on_socket:
        files.remove(slot.listens_on_socket)
    elif not slot.listens_on_socket.exists():
        files.write(slot.listens_on_socket, "")


def _live(paths: AppPaths) -> Optional[Color]:
    target, entry = files.link_target(paths.live), files.status_of(paths.live, follow=False)
    if target is None:
        if entry and not stat.S_ISLNK(entry.st_mode):  # else it has just been made
            raise NeedsHuman(
                f"{paths.live} is not a link",
                hint=f"{on_host(paths.root, f'mv {paths.live} {paths.live}.aside')}; then deploy again",
            )
        return None
    if target.name not in COLORS:
        raise NeedsHuman(
            f"{paths.live} points to {str(target)!r}, which is no color",
            hint=f"{on_host(paths.root, f'ln -sfn {COLORS[0]} {paths.live}')} (or {COLORS[1]}: whichever runs)",
        )
    return target.name


def _release(paths: AppPaths, color: Color) -> Optional[str]:
    name = paths.color(color).held
    return name if name and release_name(name) is None else None
