"""The certificate of an app's names, as [https] wants it."""

import time
from functools import partial
from pathlib import Path
from typing import Iterator, Optional, Tuple
from urllib.parse import urlsplit

from teal_host.ground import files
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange, note
from teal_host.proxies.certbot import Lineage
from teal_host.proxies.certificate import Pair, install, marked, read
from teal_host.state.agreement import Agreement
from teal_host.state.route import Tls

ORDERED, _OWN_FILES = "letsencrypt", "files"
_WAY_OVER = "[https] renews a certificate without a reload, see docs/reference/teal-toml.md"


def check_is_possible(intent: Intent) -> None:
    """Raises BadRequest for a certificate that this version cannot bring."""
    kind = intent.agreed.https.certificate
    if intent.agreed.https.http3:
        raise BadRequest("[https] http3 is not done by this version of Teal; say false")
    if kind not in ("none", ORDERED, _OWN_FILES):
        raise BadRequest(
            f'[https] certificate = "{kind}" is not done by this version of Teal; say "letsencrypt", "files" or "none"'
        )


def changes(intent: Intent) -> Iterator[SetupChange]:
    """Of files on this server: all is checked before anything changes. Raises BadRequest."""
    tls, named = intent.agreed.route(intent.app.paths).tls, source(intent.agreed, intent.app.paths)
    if tls is None and any(line.lstrip().startswith("ssl_certificate ") for line in intent.agreed.proxy.directives):
        yield note(f"HTTPS comes from [proxy] directives; {_WAY_OVER}")
    if tls and named and intent.agreed.https.certificate == _OWN_FILES:
        yield from _taken(tls, named, intent.agreed.site.names)


def _taken(tls: Tls, named: Tuple[Path, Path], names: Tuple[str, ...]) -> Iterator[SetupChange]:
    try:
        pair = read(*named)
    except BadRequest as error:
        if not marked(tls):
            raise
        yield note(f"{error.message}; nginx goes on with the certificate that it has")
        return
    covered = [name for name in names if pair.covers(name)]
    if not covered:
        raise BadRequest(
            f"{named[0]} is a certificate for {', '.join(pair.names) or 'no name'}, so for none of {', '.join(names)}"
        )
    for name in sorted(set(names) - set(covered)):
        yield note(f"{named[0]} is no certificate for {name}, which stays on HTTP")
    if not _is_installed(tls, pair, covered):
        until = time.strftime("%Y-%m-%d", time.gmtime(pair.expires))
        text = f"take the certificate {named[0]} for {', '.join(covered)}, valid until {until}"
        yield SetupChange(text, partial(_install, tls, pair, names))


def _install(tls: Tls, pair: Pair, names: Tuple[str, ...]) -> None:
    install(tls, pair, names)


def _is_installed(tls: Tls, pair: Pair, covered: "list[str]") -> bool:
    texts = files.text_of(tls.chain), files.text_of(tls.key)
    return texts == (pair.chain, pair.key) and sorted(marked(tls)) == sorted(covered)


def orders(intent: Intent) -> Iterator[SetupChange]:
    """The order comes last, after the route is open, so that the authority reaches the site."""
    tls, agreed = intent.agreed.route(intent.app.paths).tls, intent.agreed
    missing = [name for name in agreed.site.names if tls and name not in marked(tls)]
    if agreed.https.certificate == ORDERED and missing:
        authority = urlsplit(agreed.https.directory or "").hostname or "Let's Encrypt"
        yield SetupChange(f"order a certificate for {', '.join(missing)} from {authority}", lambda: None)


def source(agreed: Agreement, paths: AppPaths) -> Optional[Tuple[Path, Path]]:
    """The certificate and its key where others renew them. None: there are none, or not yet."""
    lineage = Lineage(paths)
    if agreed.https.certificate == ORDERED and lineage.renewal.exists():
        return lineage.chain, lineage.key
    https = agreed.https
    if https.certificate == _OWN_FILES and https.cert and https.key:
        return Path(https.cert), Path(https.key)
    return None
