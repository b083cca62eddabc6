"""The test's end of the line to the keeper."""

import os
import subprocess
import sys
from pathlib import Path

from harness.resources import Resources

ON, OFF, DONE = b"1", b"0", b"."


class Power:
    def __init__(self, resources: Resources, lock: int) -> None:
        """Start the keeper; from now on, what is at the place goes when this process goes."""
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
                start_new_session=True,  # Ctrl-C is for the test; the keeper then sees it end
            )
        os.close(lock)

    def on(self) -> None:
        self._tell(ON)

    def off(self) -> None:
        """As when somebody pulls the plug."""
        self._tell(OFF)

    def end(self) -> None:
        """The server and all that is its own go."""
        assert self.keeper.stdin and self.keeper.stdout
        self.keeper.stdin.close()
        code = self.keeper.wait(180)
        self.keeper.stdout.close()
        assert code == 0, "the keeper failed: see keeper.log"

    def _tell(self, command: bytes) -> None:
        assert self.keeper.stdin and self.keeper.stdout
        self.keeper.stdin.write(command)
        assert self.keeper.stdout.read(1) == DONE, "the keeper failed: see keeper.log"
