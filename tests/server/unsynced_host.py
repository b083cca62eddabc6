"""A server side that syncs nothing without noticing. Runs instead of `python` on the server:

python -I -S unsynced_host.py -c STAGE0 ARGUMENTS...
"""

import os
import sys


def main() -> None:
    minus_c, stage0, *arguments = sys.argv[1:]
    assert minus_c == "-c"
    os.fsync = lambda fd: None
    sys.argv = ["-c", *arguments]
    exec(stage0, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
