# mypy: ignore-errors
# ruff: noqa: F821, PTH123, S606, RUF005, UP031 - old syntax, and names that are put in front
"""The first program on the target, small enough for an argument: start the installed server side, or ask for it.

Sent as text behind DIGEST, SERVER, INSTALLED and PYTHON (see bootstrap.py); never imported here. It prints lines that
no login script prints; `greeting.py` reads them. Its syntax is old, so that a Python too old for Teal can report that.
"""

import os
import sys
import zlib


def say(*words):
    try:
        os.write(1, ("\nTEAL-HOST-" + " ".join(words) + "\n").encode())
    except OSError:  # the client is gone
        sys.exit(97)


def is_installed():
    """A file of root that nobody else can write, made from the same sources as the client's."""
    try:
        status = os.lstat(INSTALLED)
        if status.st_uid or status.st_mode & 0o170022 != 0o100000:
            return False
        with open(INSTALLED, "rb") as file:
            file.seek(-len(DIGEST), 2)
            return file.read() == DIGEST.encode()
    except (OSError, ValueError):
        return False


def become(argv):
    """Become this program, as root. If sudo refuses, the client sees that nothing follows the word SUDO."""
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


def run_installed():
    """This process is root and runs the right Python: it goes on as the installed server side without another start."""
    sys.argv[0] = INSTALLED
    sys.path.insert(0, INSTALLED)
    from teal_host.start import start

    sys.exit(start())


def read(size):
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            sys.exit(97)
        data += piece
    return data


def other_python():
    """Is this not the system's own Python, though that exists? At most once: it may be a script that starts another."""
    again = os.environ.pop("TEAL_AGAIN", None)
    return not again and os.access(PYTHON, os.X_OK) and os.path.realpath(sys.executable) != os.path.realpath(PYTHON)


def unpacker():
    """That of `payload` in bootstrap.py."""
    if not SERVER:
        return zlib.decompress
    try:
        from bz2 import decompress
    except ImportError:  # python3-minimal
        say("INCOMPLETE", "bz2")
        sys.exit(97)
    return decompress


def go_on():
    """Become the installed server side, or root on the system's Python, on which units run too, or go on here."""
    other = SERVER and other_python()
    if sys.version_info < (3, 9) and not other:
        say("TOO-OLD", "%s.%s" % sys.version_info[:2])
        sys.exit(97)
    if SERVER and is_installed():
        if not (os.geteuid() or other):
            run_installed()
        become([INSTALLED] + sys.argv[1:])
    elif SERVER and (other or os.geteuid()):
        with open("/proc/self/cmdline", "rb") as file:  # the same command once more; sys.orig_argv is too new
            words = file.read().decode().split("\0")[:-1]
        if os.access(PYTHON, os.X_OK):
            words[0] = PYTHON
        os.environ["TEAL_AGAIN"] = "1"
        become(words)
    unpack = unpacker()
    say("SEND")
    exec(unpack(read(int(read(8), 16))), {"__name__": "teal_stage1"})  # noqa: S102


go_on()
