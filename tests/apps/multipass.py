"""A stand-in for multipass in front of a booted server, run as the program `multipass` on PATH.

It follows the documented grammar, `multipass exec [options] <name> [--] <command>` and `multipass shell <name>`, and
refuses what multipass refuses, with the same words and exit codes. Its pipe has the known faults of multipass: the
instance never sees the end of standard input, and the client sees the end of the output only when the command has
ended.

MULTIPASS_INSTANCES is a JSON object: {name: {"state": "Running", "ssh": [argv of a login on it]}}, or a file of it.
The file changes with what is typed: `launch --name NAME` makes an instance like the one called "image".
"""

import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, NoReturn

OK, COMMAND_LINE, COMMAND, DAEMON = 0, 1, 2, 3


def fail(code: int, text: str) -> NoReturn:
    print(text, file=sys.stderr, flush=True)
    sys.exit(code)


def parse(arguments: list[str]) -> tuple[str, list[str]]:
    """Returns the instance and the command. Options of the inner command must follow `--`."""
    before, dashes, behind = arguments, False, []
    if "--" in arguments:
        at = arguments.index("--")
        before, dashes, behind = arguments[:at], True, arguments[at + 1 :]
    names = [word for word in before if not word.startswith("-")]
    unknown = [word for word in before if word.startswith("-") and word not in ("-n", "--no-map-working-directory")]
    if unknown:
        also = "" if dashes else '\nOptions to the inner command should come after "--", like this:\n'
        fail(COMMAND_LINE, f"Unknown option '{unknown[0].lstrip('-')}'.{also}")
    words = [*names, *behind]
    if len(words) < 2:
        fail(COMMAND_LINE, "Wrong number of arguments")
    return words[0], words[1:]


def instances(verb: str) -> dict[str, Any]:
    given = os.environ["MULTIPASS_INSTANCES"]
    known = json.loads(given if given.startswith("{") else Path(given).read_text())
    if os.environ.get("MULTIPASS_DOWN") or known.pop("down", False):
        fail(DAEMON, f"{verb} failed: cannot connect to the multipass socket")
    assert isinstance(known, dict)
    return known


def change(verb: str, arguments: list[str]) -> None:
    """Does what the verb does with an instance. A recovered one is stopped, as with multipass."""
    known = instances(verb)
    name = arguments[-1]
    if verb == "launch":
        known[name] = known["image"]
    elif name not in known:
        fail(COMMAND, f'{verb} failed: instance "{name}" does not exist')
    known[name] = {**known[name], "state": "Stopped" if verb == "recover" else "Running"}
    Path(os.environ["MULTIPASS_INSTANCES"]).write_text(json.dumps(known))


def instance(name: str, verb: str) -> list[str]:
    record = instances(verb).get(name)
    if record is None:
        fail(COMMAND, f'{verb} failed: instance "{name}" does not exist')
    if record["state"] != "Running":
        state = {"Deleted": "is deleted", "Suspended": "is suspended"}.get(record["state"], "is not running")
        fail(COMMAND, f'{verb} failed: instance "{name}" {state}')
    return list(record["ssh"])


def carry(source: IO[bytes], target: IO[bytes]) -> None:
    """Passes input on at once, but never passes on the end of the input."""
    while piece := os.read(source.fileno(), 4096):
        target.write(piece)
        target.flush()


def main() -> int:
    verb, *arguments = sys.argv[1:] or [""]
    if verb in ("list", "version"):
        print("\n".join(instances(verb)))
        return OK
    if verb in ("launch", "recover", "start"):
        change(verb, arguments)
        return OK
    if verb == "shell":
        return subprocess.call(instance(arguments[0], verb))
    if verb != "exec":
        fail(COMMAND_LINE, f'Unknown command "{verb}" (try "multipass help")')
    name, command = parse(arguments)
    argv = [*instance(name, verb), shlex.join(command)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as program:
        assert program.stdin and program.stdout
        threading.Thread(target=carry, args=(sys.stdin.buffer, program.stdin), daemon=True).start()
        threading.Thread(target=carry, args=(program.stdout, sys.stdout.buffer), daemon=True).start()
        code = program.wait()
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
