"""Teal imports only what it needs. A list of imports is deterministic; a time would depend on the machine."""

import os
import subprocess
import sys

import pytest

from harness.world import REPO

SLOW = {"rich", "http.client", "ssl", "email", "elftools", "urllib.request", "asyncio", "tomllib", "http.server"}
OF_A_HELP = {
    *SLOW,
    "dataclasses",
    "teal.config",
    "teal.pipe.session",
    "teal.stories.deploy",
    "teal_host.wire.messages",
    "json",
}
OF_A_GREETING = {"http.client", "ssl", "argparse", "subprocess", "teal_host.stories.deploy", "teal_host.wire.messages"}

HELP = """
import sys
from teal.cli import main
sys.argv = ["teal", "--help"]
try:
    main()
except SystemExit:
    pass
"""


def imported(code: str) -> set[str]:
    tell = f"{code}\nimport sys; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(REPO / "src")}
    done = subprocess.run([sys.executable, "-c", tell], env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "slow"),
    [
        (HELP, OF_A_HELP),
        ("import teal.cli.status", SLOW - {"tomllib"}),
        ("import teal_host.pipe.greet", OF_A_GREETING),
        ("import teal_host.main", SLOW),
    ],
    ids=["help", "status", "greeting", "server side"],
)
def test_import_of_slow_modules_is_avoided(code: str, slow: set[str]) -> None:
    assert not imported(code) & slow
