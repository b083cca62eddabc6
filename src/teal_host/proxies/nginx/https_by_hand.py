"""HTTPS that somebody else, such as certbot's nginx plugin, has written into an app's nginx file.

Teal would write that file without it, and so take HTTPS off a live site. Until teal.toml says it too, nothing is
written. Pure.
"""

import json
import re
from typing import List

from teal_host.ground.errors import BadRequest
from teal_host.wire.app import ProxyRules

_TLS = re.compile(r"^\s*(listen\s[^;]*\sssl\b[^;]*|ssl_certificate(?:_key)?\s[^;]*);", re.MULTILINE)
_CERTBOT = "managed by Certbot"


def directives(text: str) -> List[str]:
    """What gives the file HTTPS, as [proxy] directives would say it. Empty: nothing does."""
    lines = dict.fromkeys(f"{' '.join(match.group(1).split())};" for match in _TLS.finditer(text))
    return [line.replace(" ipv6only=on", "") for line in lines]


def check_kept(path: str, text: str, rules: ProxyRules) -> None:
    """Raises BadRequest if writing the file by these rules would take HTTPS off."""
    if _has_certificate(text) and not any("ssl_certificate " in directive for directive in rules.directives):
        raise _error(path, text, "setup would take HTTPS off, so nothing was changed")


def check_answers(path: str, text: str) -> None:
    """Raises BadRequest for a file of which nginx does not answer Teal's own requests."""
    if _has_certificate(text):
        raise _error(path, text, "nginx no longer answers Teal's own requests, so no switch could be verified")


def _has_certificate(text: str) -> bool:
    return any(line.startswith("ssl_certificate ") for line in directives(text))


def _error(path: str, text: str, outcome: str) -> BadRequest:
    who = "certbot" if _CERTBOT in text else "somebody"
    toml = ["[proxy]", "directives = [", *(f"  {json.dumps(line)}," for line in directives(text)), "]"]
    hint = "add these lines to [proxy] directives in teal.toml, then: teal setup --yes (HTTPS stays on)"
    return BadRequest(f"{who} has put HTTPS into {path}, a file that Teal writes: {outcome}", toml, hint)
