"""The user's own directives in a site's file, and which of them nginx complains about."""

from pathlib import Path
from typing import Optional

from teal_host.ground.errors import BadRequest
from teal_host.ground.remedies import CHANGE_DIRECTIVES
from teal_host.proxies.nginx import tree as nginx_tree
from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.state.route import Route

_HEADING = "    # [proxy] directives of teal.toml, as they are there:\n"


def own(site: SiteParameters) -> str:
    """Each directive begins a line of its own and ends that line, because a directive may end with a comment."""
    directives = site.route.rules.directives
    lines = "".join(f"    {directive.strip()}\n" for directive in directives)
    return _HEADING + lines if directives else ""


def explain_refused_directive(route: Route, text: str, path: Path, output: str) -> Optional[BadRequest]:
    """An error that names the user's own directive, if nginx complains about one in this file's text."""
    complaint, file, line = nginx_tree.refusal(output)
    directive = directive_at(route, text, line) if file == str(path) and line else None
    if directive is None:
        return None
    return BadRequest(f"nginx refuses {directive!r}: {complaint}", hint=CHANGE_DIRECTIVES)


def directive_at(route: Route, text: str, line: int) -> Optional[str]:
    """Which of the user's own directives stands in this line of the text, if any does."""
    before, _, _ = text.partition(_HEADING)
    begin = (before + _HEADING).count("\n") + 1
    for directive in route.rules.directives:
        end = begin + directive.strip().count("\n")
        if begin <= line <= end:
            return directive.strip()
        begin = end + 1
    return None
