"""Runs in place of `python` on the server side: passes both ways on, and writes one letter for each turn.

    python -I -S tap.py TURNS -c STAGE0 ARGUMENTS...

A turn ends when the other side speaks. At each `c` but the first, the server waits for the client's next message, after
the client has waited for the server's. So each such `c` is one round trip.
"""

import os
import select
import subprocess
import sys


def main() -> int:
    turns, rest = sys.argv[1], sys.argv[2:]
    argv = [sys.executable, "-I", "-S", *rest]
    host = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert host.stdin and host.stdout
    ways = {0: (host.stdin.fileno(), "c"), host.stdout.fileno(): (1, "s")}
    letters = ""
    while host.stdout.fileno() in ways:
        for source in select.select(list(ways), [], [])[0]:
            target, who = ways[source]
            data = os.read(source, 65536)
            if not data:
                del ways[source]
                if source == 0:
                    host.stdin.close()
                continue
            if not letters.endswith(who):
                letters += who
                with open(turns, "w") as file:
                    file.write(letters)
            while data:
                data = data[os.write(target, data) :]
    return host.wait()


sys.exit(main())
