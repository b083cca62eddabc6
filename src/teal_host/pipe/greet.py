"""The first word of this side, said before the stories are imported: while it is on its way, they are.

So it is written here as plain JSON, and what it is made of costs no import; `messages.Greeting` is what it is read as.
"""

import os
import sys
from typing import BinaryIO

from teal_host.wire.frames import PROTOCOL, write_frame

SYNC = b"\nTEAL-HOST-1\n"  # comes before the first frame; whatever a login script said before it is noise


def greet(outgoing: BinaryIO) -> None:
    """Say who we are. Raises OSError when nobody is there any more."""
    outgoing.write(SYNC)
    python = "{}.{}.{}".format(*sys.version_info[:3])
    facts = {"python": python, "system": sys.platform, "machine": os.uname().machine, "pid": os.getpid()}
    write_frame(outgoing, {"type": "greeting", **facts, "libc": _libc(), "protocol": PROTOCOL})


def _libc() -> str:
    """Such as "glibc 2.36". Another libc does not know the question."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
