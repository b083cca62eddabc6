"""The guess that a port was refused: from a program's own last lines, in a time that the program cannot choose."""

import time

import pytest

from teal_host.steps import health


@pytest.mark.parametrize(
    ("line", "is_guessed"),
    [
        ("listen tcp :9090: bind: operation not permitted", True),
        ("OSError: [Errno 98] Address already in use", True),
        ("Error: listen EACCES: permission denied 0.0.0.0:80", True),
        ("open /var/data: Permission denied", False),
        ("listening on 127.0.0.1:8082", False),
        ("x" * 500 + "bind: operation not permitted", False),
    ],
)
def test_line_speaks_of_a_refused_port(line: str, is_guessed: bool) -> None:
    assert health._may_refuse_a_port(line) is is_guessed


def test_long_lines_are_looked_at_to_a_bound() -> None:
    """At 859ecac a pattern went over all lines at once: 61 kB took 92 s, while a bad release stayed live."""
    began = time.process_time()
    assert not any(map(health._may_refuse_a_port, ["bind " * 10_000] * 15))
    assert time.process_time() - began < 5
