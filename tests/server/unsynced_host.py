"""A server side that syncs nothing, and does not know it. Run in the place of `python` over there:

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
