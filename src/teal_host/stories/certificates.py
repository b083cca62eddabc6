"""The story of a certificate: setup orders it, and certbot's hook and a daily timer bring a renewed one to nginx.

Nothing about DNS, a certificate authority or its limits ends a setup: the site goes on over HTTP, or with the
certificate that it has, and one sentence says why.
"""

import secrets
import sys
import syslog
from typing import Iterator, List, Optional, Tuple

from teal_host.ground import files, lock, sockets
from teal_host.ground.errors import BadRequest, Cancelled, HostError, as_host_error
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.pipe.channel import Channel
from teal_host.preparations import certificate, packages
from teal_host.proxies import certbot
from teal_host.proxies import certificate as certificates
from teal_host.proxies.certbot import Lineage, Order
from teal_host.state import agreement
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.wire.app import Site
from teal_host.wire.messages import AskNames
from teal_host.wire.reports import HttpsReport
from teal_host.wire.requests import NameSeen, NamesSeen

_FOLDER = ".well-known/acme-challenge"
_ANSWERED_WITHIN_S = 90.0  # the client asks many names
_LOCK_WAIT_S = 60.0
_LONGEST_WHY = 600


def report(agreed: Optional[Agreement], paths: AppPaths, why: str = "") -> HttpsReport:
    """What visitors have now."""
    tls = agreed.route(paths).tls if agreed else None
    if agreed is None or tls is None:
        return HttpsReport("none")
    names = tuple(name for name in agreed.site.names if name in certificates.marked(tls))
    if len(names) == len(agreed.site.names):
        return HttpsReport("ready", names)
    missing = ", ".join(name for name in agreed.site.names if name not in names)
    return HttpsReport("pending", names, why[:_LONGEST_WHY] or f"no certificate yet for {missing}")


def order(app: App, channel: Channel) -> HttpsReport:
    """Once in a setup, after the route is open. What is there already is not ordered again."""
    agreed = agreement.load(app.paths)
    before = report(agreed, app.paths)
    if agreed is None or before.state != "pending" or agreed.https.certificate != certificate.ORDERED:
        return before
    with app.step("certificate") as step:
        try:
            why = _ordered(app, agreed, before.names, channel)
        except (HostError, OSError) as error:
            why = as_host_error(error).message
        after = report(agreed, app.paths, why)
        step.detail = "; ".join(filter(None, (", ".join(after.names), after.why)))
    return after


def _ordered(app: App, agreed: Agreement, before: Tuple[str, ...], channel: Channel) -> str:
    """What keeps names from a certificate, or nothing."""
    seen = _seen(app, agreed.site, channel)
    leading = tuple(name.name for name in seen if name.leads)
    complaints = [name.why for name in seen if not name.leads]
    if not {*leading} - {*before}:
        return "; ".join(complaints)
    packages.install_missing(certbot.PROGRAM)
    certbot.write_authorities(app.host.paths, _authorities(app.host.paths))
    refusal = certbot.refusal(Order(Lineage(app.paths), leading, agreed.https, app.host.paths))
    if not refusal:
        _install(app.host.paths, agreed)
        if not certbot.renews():
            app.warn(
                "certbot.timer does not run, so nobody renews the certificate: systemctl enable --now certbot.timer"
            )
    return "; ".join(filter(None, (refusal, *complaints)))


def _seen(app: App, site: Site, channel: Channel) -> Tuple[NameSeen, ...]:
    """Which names lead here, asked by the client: a server behind NAT or a CDN does not know. Raises BadRequest."""
    folder, file, content = app.paths.challenges / _FOLDER, secrets.token_hex(16), secrets.token_hex(16)
    files.make_dir(folder)
    try:
        files.write(folder / file, content)
        app.tell(AskNames(file, content, (*sockets.addresses(), *sockets.addresses_v6())))
        seen = channel.receive(NamesSeen, within_s=_ANSWERED_WITHIN_S)
    except Cancelled:
        raise BadRequest("the client, which looks where the names lead, is gone") from None
    finally:
        files.remove(folder / file)
    return tuple(name for name in seen.names if name.name in site.names)


def renew(host: HostPaths) -> int:
    """Of certbot's hook, and daily. What certbot says to its hook is not believed: every app is looked at."""
    syslog.openlog("teal")
    failed = list(_failures(host))
    for line in failed:
        sys.stderr.write(f"teal: {line}\n")
        syslog.syslog(syslog.LOG_ERR, line)  # certbot's own service shows nothing of a hook
    return 1 if failed else 0


def _failures(host: HostPaths) -> Iterator[str]:
    for paths in host.apps():
        try:
            agreed = agreement.load(paths)
            if agreed and certificate.source(agreed, paths):
                _install(host, agreed)
        except (HostError, OSError) as error:
            yield f"{paths.app}: {as_host_error(error).message}"
    try:
        certbot.write_authorities(host, _authorities(host))
    except (HostError, OSError) as error:
        yield as_host_error(error).message


def _install(host: HostPaths, agreed: Agreement) -> None:
    """Raises HostError, OSError."""
    paths = host.app(agreed.app)
    tls, source = agreed.route(paths).tls, certificate.source(agreed, paths)
    if tls and source:
        pair = certificates.read(*source)
        with lock.shared(host, agreed.app, "certificates", _LOCK_WAIT_S):
            certificates.install(tls, pair, agreed.site.names)


def _authorities(host: HostPaths) -> List[str]:
    agreements = filter(None, map(agreement.load, host.apps()))
    return [agreed.https.ca_file for agreed in agreements if agreed.https.ca_file]
