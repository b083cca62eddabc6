# mypy: ignore-errors
# ruff: noqa: F821, PTH123, S606, RUF005, UP031 - old syntax, and names that are put in front
"""The first words over there, small enough for an argument: is the right server side installed? Else, may it be sent?

Sent as text behind DIGEST, SERVER, INSTALLED and PYTHON (see bootstrap.py); never imported here. What it says are lines
that no login script says; `greeting.py` reads them. Its syntax is old, so that a Python which is too old can say so.
"""

import os
import sys
import zlib


def say(*words):
    try:
        os.write(1, ("\nTEAL-HOST-" + " ".join(words) + "\n").encode())
    except OSError:  # nobody is there any more
        sys.exit(97)


def is_installed():
    """Root's, written by nobody else, and of the sources that the client has."""
    try:
        found = os.lstat(INSTALLED)
        if found.st_uid or found.st_mode & 0o170022 != 0o100000:
            return False
        with open(INSTALLED, "rb") as file:
            file.seek(-len(DIGEST), 2)
            return file.read() == DIGEST.encode()
    except (OSError, ValueError):
        return False


def become(argv):
    """Go on as this, as root. Whether sudo lets us, the client sees from what comes after this word."""
    if os.geteuid():
        import pwd

        user = pwd.getpwuid(os.geteuid())[0]
        say("SUDO", user)
        argv = ["sudo", "-n"] + argv
    try:
        os.execvp(argv[0], argv)
    except OSError:
        if os.geteuid():
            say("NO-SUDO", user)
            sys.exit(97)


def be_installed():
    """Root, and the Python that the installed one was compiled for, go on as it without another start."""
    sys.argv[0] = INSTALLED
    sys.path.insert(0, INSTALLED)
    from teal_host.start import start

    sys.exit(start())


def read(size):
    found = b""
    while len(found) < size:
        piece = os.read(0, size - len(found))
        if not piece:
            sys.exit(97)
        found += piece
    return found


def other_python():
    """Is this not the system's own, though there is one? At most once: that may be a script which starts another."""
    again = os.environ.pop("TEAL_AGAIN", None)
    return not again and os.access(PYTHON, os.X_OK) and os.path.realpath(sys.executable) != os.path.realpath(PYTHON)


def go_on():
    """As the installed one, or as root on the system's Python, on which units run as well, or here."""
    if sys.version_info < (3, 9):  # noqa: UP036 - over there it may be
        say("TOO-OLD", "%s.%s" % sys.version_info[:2])
        sys.exit(97)
    if SERVER and is_installed():
        if not (os.geteuid() or other_python()):
            be_installed()
        become([INSTALLED] + sys.argv[1:])
    elif SERVER and (other_python() or os.geteuid()):
        with open("/proc/self/cmdline", "rb") as file:  # these words once more: sys.orig_argv is too new
            words = file.read().decode().split("\0")[:-1]
        if os.access(PYTHON, os.X_OK):
            words[0] = PYTHON
        os.environ["TEAL_AGAIN"] = "1"
        become(words)
    say("SEND")
    packed = read(int(read(8), 16))
    exec(zlib.decompress(packed), {"__name__": "teal_stage1"})  # noqa: S102


go_on()
