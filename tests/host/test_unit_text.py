"""The text of an app's units, as far as it can be judged without systemd."""

from pathlib import Path

from teal_host.ground.paths import AppPaths
from teal_host.supervisors.unit_text import Unit, recovery_text, unit_text
from teal_host.wire.app import Sandbox
from teal_host.wire.sources import PYTHON

UNIT = Unit(AppPaths(Path("/"), "shop"), "teal-shop", Sandbox(), Path("/usr/local/lib/teal/teal-host"))


def test_unit_starts_with_the_python_of_the_system() -> None:
    """Not with the one that happened to run setup: a pyenv in root's home ended with 203/EXEC."""
    for text in (unit_text(UNIT), recovery_text(UNIT)):
        assert f"\nExecStart={PYTHON} -I -S /usr/local/lib/teal/teal-host " in text


def test_recovery_waits_for_both_colors() -> None:
    assert "\nAfter=nginx.service teal-shop@blue.service teal-shop@green.service\n" in recovery_text(UNIT)
