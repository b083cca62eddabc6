"""What a transport is: how to start a Python over there whose standard input and output are our pipe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transport:
    """`python` is the argv of a Python 3 over there; `arguments` are what the server side is told at its start."""

    name: str
    python: tuple[str, ...]
    arguments: tuple[str, ...]
    own_session: bool
