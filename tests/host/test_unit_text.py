"""The text of an app's units, as far as a test can judge the text without systemd."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from teal_host.ground.paths import AppPaths
from teal_host.supervisors.unit_text import Unit, recovery_text, unit_text
from teal_host.wire.app import Sandbox
from teal_host.wire.sources import PYTHON

UNIT = Unit(AppPaths(Path("/"), "shop"), "teal-shop", Sandbox(), Path("/usr/local/lib/teal/teal-host"), 252)


def test_unit_starts_with_the_python_of_the_system() -> None:
    """A Python that happens to run setup is no choice: with a pyenv in root's home, the unit ended with 203/EXEC."""
    for text in (unit_text(UNIT), recovery_text(UNIT)):
        assert f"\nExecStart={PYTHON} -I -S /usr/local/lib/teal/teal-host " in text


@pytest.mark.parametrize(
    ("systemd", "pauses"),
    [
        (252, ["RestartSec=2s"]),
        (253, ["RestartSec=2s"]),
        (254, ["RestartSec=1s", "RestartSteps=6", "RestartMaxDelaySec=5s"]),
        (257, ["RestartSec=1s", "RestartSteps=6", "RestartMaxDelaySec=5s"]),
    ],
)
def test_unit_starts_a_program_again_for_ever_with_the_pauses_that_systemd_knows(
    systemd: int, pauses: list[str]
) -> None:
    lines = unit_text(replace(UNIT, systemd=systemd)).splitlines()
    assert [line for line in lines if line.startswith("Restart")] == ["Restart=always", *pauses]
    assert [line for line in lines if line.startswith("StartLimit")] == ["StartLimitIntervalSec=0"]


def test_unit_does_not_hold_the_boot_for_the_network() -> None:
    """The program listens on loopback. Waiting for an uplink that is down would cost two minutes."""
    assert "network-online" not in unit_text(UNIT)


def test_recovery_waits_for_both_colors() -> None:
    assert "\nAfter=nginx.service teal-shop@blue.service teal-shop@green.service\n" in recovery_text(UNIT)


def test_log_keeps_as_many_lines_of_a_program_as_journald_does_by_itself() -> None:
    """At cd5f48e honest programs lost lines that they had kept before."""
    assert {"LogRateLimitIntervalSec=30s", "LogRateLimitBurst=10000"} <= set(unit_text(UNIT).splitlines())


@pytest.mark.row("S34")
def test_unit_has_exactly_the_properties_whose_reasons_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/explanation/security.md").read_text()
    table = page.split("## The unit of an app")[1].split("\n## ")[0]
    documented = [
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    whole = replace(
        UNIT,
        systemd=257,
        sandbox=Sandbox(("/srv/x",), ("CAP_CHOWN",), ("@resources",), memory_mb=64),
        socket_group="www-data",
    )
    service = unit_text(whole).split("[Service]")[1].split("[Install]")[0]
    assert sorted(documented) == sorted(set(re.findall(r"^(\w+)=", service, re.MULTILINE)))
