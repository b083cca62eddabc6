"""A command on its own terminal, and the person at it."""

import os
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence

from harness.world import PATIENCE_S


class Terminal:
    """`seen` has the output so far; `type` presses keys."""

    def __init__(self, argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
        self._keys, end = os.openpty()
        self.seen = ""
        self.process = subprocess.Popen(list(argv), cwd=cwd, env=env, preexec_fn=lambda: os.login_tty(end))
        os.close(end)

    def type(self, keys: str) -> None:
        os.write(self._keys, keys.encode())

    def wait_for(self, pattern: str, deadline_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + deadline_s
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.seen}"
            assert self._read() or re.search(pattern, self.seen), f"it ended without {pattern!r}:\n{self.seen}"

    def ended(self, deadline_s: float = 2 * PATIENCE_S) -> int:
        deadline = time.monotonic() + deadline_s
        while self._read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.seen}"
        os.close(self._keys)
        return self.process.wait(deadline_s)

    def _read(self) -> bool:
        """Returns False at the end of the output, which a terminal reports as an error."""
        if not select.select([self._keys], [], [], 0.1)[0]:
            return True
        try:
            self.seen += os.read(self._keys, 65536).decode(errors="replace")
        except OSError:
            return False
        return True
