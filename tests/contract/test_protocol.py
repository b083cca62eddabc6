"""A client and a deploy key's server side of two versions: the number of the protocol tells them apart."""

import dataclasses
import hashlib
from typing import Any, get_args, get_origin, get_type_hints

from teal_host.wire import messages, requests
from teal_host.wire.frames import PROTOCOL

DIGESTS = {3: "ab53d9dbe3d1c5c1", 4: "0c83e45ed54ace74", 5: "2ec3796f41d16a1a"}


def shape(kind: Any) -> str:
    """The members of a message's type, without their grammars: a member that one side does not know is refused."""
    if hasattr(kind, "__metadata__"):
        kind = get_args(kind)[0]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return f"{kind.__name__}({', '.join(f'{name}: {shape(hint)}' for name, hint in sorted(hints.items()))})"
    origin, parts = get_origin(kind), get_args(kind)
    if not parts:
        return str(getattr(kind, "__name__", kind))
    name = "one of" if "Union" in str(origin) else str(getattr(origin, "__name__", origin)).removeprefix("typing.")
    return f"{name}[{', '.join(sorted(shape(part) for part in parts))}]"


def test_change_of_a_message_counts_the_protocol_up() -> None:
    """Else a client ends with "unknown key" or "is not to be trusted" where it should say "another version of Teal"."""
    every = {*requests.REQUESTS, *requests.MIDDLE, *messages.EVENTS, *messages.ANSWERS}
    digest = hashlib.sha256("\n".join(sorted(map(shape, every))).encode()).hexdigest()[:16]
    assert DIGESTS.get(PROTOCOL) == digest, "count PROTOCOL up in wire/frames.py; write its digest into DIGESTS"
