"""The audit of deploy keys: every use has a line, and a monitor that asks each minute does not fill the disk."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from teal_host.ground.paths import HostPaths
from teal_host.state.key_policy import MOST, KeyPolicy
from teal_host.wire.messages import Done, Status

USES = 40


def test_audit_begins_anew_once_when_it_is_long_and_loses_no_line(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).app("shop")
    paths.home.mkdir(parents=True)
    before = json.dumps({"did": "status", "more": "x" * 500}) + "\n"
    count = MOST // len(before) + 1
    paths.audit.write_text(before * count)
    policy = KeyPolicy("shop", "ab" * 32)
    with ThreadPoolExecutor(8) as connections:
        list(connections.map(lambda _: policy.note(HostPaths(tmp_path), Status("shop"), Done()), range(USES)))
    older = paths.audit.with_name("audit.1")
    lines = [json.loads(line) for path in (older, paths.audit) for line in path.read_text().splitlines()]
    assert older.read_text().startswith(before * count)
    assert len(lines) == count + USES
    assert {line["ended"] for line in lines[count:]} == {"answered"}
    assert paths.audit.stat().st_size < 100_000
