"""The test's end of the pipe to the keeper."""

import os
import subprocess
import sys
from pathlib import Path

from harness.resources import Resources

ON, OFF, DONE = b"1", b"0", b"."


class Power:
    def __init__(self, resources: Resources, lock: int) -> None:
        """Starts the keeper. From now on, the server's resources go when this process goes."""
        resources.directory.mkdir(parents=True, exist_ok=True)
        with (resources.directory / "keeper.log").open("wb") as log:
            self.keeper = subprocess.Popen(
                [sys.executable, "-m", "harness.keeper", str(resources.number), str(resources.directory), str(lock)],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
                pass_fds=[lock],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl-C reaches only the test; the keeper sees the test end
            )
        os.close(lock)

    def on(self) -> None:
        self._tell(ON)

    def off(self) -> None:
        """Stops the server as if somebody pulled the plug."""
        self._tell(OFF)

    def end(self) -> None:
        """Removes the server and its resources."""
        assert self.keeper.stdin and self.keeper.stdout
        self.keeper.stdin.close()
        code = self.keeper.wait(180)
        self.keeper.stdout.close()
        assert code == 0, "the keeper failed: see keeper.log"

    def _tell(self, command: bytes) -> None:
        assert self.keeper.stdin and self.keeper.stdout
        self.keeper.stdin.write(command)
        assert self.keeper.stdout.read(1) == DONE, "the keeper failed: see keeper.log"
