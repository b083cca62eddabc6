"""What a machine's nginx logs of all sites, in words that one site can say again, because its own log replaces that."""

import re
from typing import Optional, Set, Tuple

from teal_host.proxies.nginx.tree import Directive, Tree, matches

_PLAIN = re.compile(r"[A-Za-z0-9_./:=$,@%+-]+")  # words that need no quotes
_ALWAYS_KNOWN = "combined"


def inherited(tree: Tree, path: str) -> Optional[Tuple[str, ...]]:
    """The arguments of each access_log that a site in the file `path` inherits.

    None when they cannot be said again there: odd words, a format that nginx does not know yet at this place, or
    nothing said, which means a log whose place only nginx knows.
    """
    logs = [one for one in tree.http() if one.name == "access_log"]
    known = _formats_before(tree, path)
    if not logs or not all(_can_be_said(one, known) for one in logs):
        return None
    return tuple(" ".join(one.args) for one in logs if one.args != ("off",))


def _can_be_said(log: Directive, known: Set[str]) -> bool:
    named = log.args[1:2] if log.args[1:2] and "=" not in log.args[1] else (_ALWAYS_KNOWN,)
    return all(_PLAIN.fullmatch(word) for word in log.args) and named[0] in known


def _formats_before(tree: Tree, path: str) -> Set[str]:
    """nginx must have read a format before it reads a log that names it."""
    known = {_ALWAYS_KNOWN}
    for one in tree.http():
        if one.name == "include" and one.args and matches(tree.full(one.args[0]), path):
            earlier = (inner for inner in one.all("log_format") if inner.file.encode() < path.encode())
            return known | {inner.args[0] for inner in earlier}
        if one.name == "log_format":
            known.add(one.args[0])
    return known
