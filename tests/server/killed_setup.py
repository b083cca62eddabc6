"""Runs on a booted server: kills setup at one act after the other, then kills destroy at one act after the other.

    python3 killed_setup.py SETUP COMMIT DESTROY FIRST STRIDE < nothing

The messages are frames in hex. Prints one JSON line for each act of setup, with its result.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
IGNORED = ("/usr/bin", "/usr/lib", "/usr/share", "/usr/sbin", "/var/lib/dpkg", "/var/lib/apt", "/root", "/boot")
OF_ACCOUNTS = ("passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-", ".pwd.lock")


def main() -> None:
    setup, commit, destroy = (bytes.fromhex(text) for text in sys.argv[1:4])
    before, destroyed_at = files(), 0
    for act in itertools.count(int(sys.argv[4]), int(sys.argv[5])):
        attempt: dict[str, Any] = {"killed": run(setup + commit, act), "nginx": nginx()}
        if act % 2:
            run(setup + commit, 0)
        destroyed_at += 1
        attempt["destroy killed"] = run(destroy, destroyed_at)
        destroyed_at = destroyed_at if attempt["destroy killed"] else 0
        attempt["nginx after"] = nginx()
        run(destroy, 0)
        now = files()
        attempt["left"] = sorted(path for path in before | now if before.get(path) != now.get(path))
        print(json.dumps(attempt), flush=True)
        if not attempt["killed"] or attempt["left"]:
            return


def run(frames: bytes, act: int) -> str:
    """Runs a story and kills it at act `number`, or never if 0. Returns the act, or nothing if the story finished."""
    reader, writer = os.pipe()
    os.write(writer, frames)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        serve(reader, Killer(act, write_end))
        os._exit(0)
    os.close(write_end)
    os.close(reader)
    with os.fdopen(read_end) as names:
        name = names.read()
    _, status = os.waitpid(child, 0)
    os.close(writer)
    return name if os.WIFSIGNALED(status) else ""


class Killer:
    def __init__(self, act: int, tell: int) -> None:
        self._left = act
        self._tell = tell
        self._pid = os.getpid()

    def __call__(self, name: str) -> None:
        self._left -= 1
        if self._left == 0:
            os.write(self._tell, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def serve(incoming: int, killer: Killer) -> None:
    from teal_host import main as host
    from teal_host.ground import files as writes

    writes.witness = killer
    with os.fdopen(incoming, "rb") as pipe, open(os.devnull, "wb") as nowhere:
        host.main(["--server"], pipe, nowhere)


def nginx() -> bool:
    return subprocess.run(["nginx", "-t", "-q"], capture_output=True, check=False).returncode == 0


def files() -> dict[str, Any]:
    from listing import listing  # type: ignore[import-not-found]

    ignoring = (*IGNORED, *(f"/etc/{name}" for name in OF_ACCOUNTS))
    contents: dict[str, Any] = listing(Path("/"), ignoring)
    return contents


if __name__ == "__main__":
    main()
