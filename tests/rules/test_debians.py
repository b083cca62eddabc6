"""What is shown on a server is shown on both Debians."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

REPO = Path(__file__).parents[2]
BOTH = {"12", "13"}
NOT_ON_EACH = {
    "tests/server/test_harness.py::test_servers_of_both_debians_run_side_by_side": set(),  # both at once
    "tests/server/test_harness.py::test_killed_test_leaves_nothing_behind": set(),  # this machine
    "tests/server/test_line.py::test_sudo_rs_works_in_place_of_sudo": {"13"},  # 12 has no sudo-rs
}


def test_server_tests_run_on_both_debians() -> None:
    argv = [sys.executable, "-m", "pytest", "tests/server", "--collect-only", "-q", "-p", "no:cacheprovider"]
    argv += ["-o", "addopts=--import-mode=importlib"]  # a name a line
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # it may change the output
    collected = subprocess.run(argv, cwd=REPO, env=env, capture_output=True, text=True, timeout=120, check=False)
    seen: dict[str, set[str]] = defaultdict(set)
    for name in collected.stdout.splitlines():
        if "::" in name:
            seen[re.sub(r"debian\d+", "debian", name)].update(re.findall(r"debian(\d+)", name))
    assert len(seen) > 200, collected.stdout + collected.stderr
    odd = {name: on for name, on in seen.items() if on != BOTH and on != NOT_ON_EACH.get(name.split("[")[0])}
    assert odd == {}
