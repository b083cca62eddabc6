"""The user's own nginx, which serves local apps."""

from typing import Iterator

from teal_host.checks.base import Visit, fault, from_error, ok
from teal_host.ground.errors import HostError
from teal_host.wire.reports import Finding


def check(visit: Visit) -> Iterator[Finding]:
    proxy = visit.app.host.proxy
    try:
        proxy.check_site(visit.agreed.site)
    except HostError as error:
        yield from_error("nginx", error)
        return
    if not visit.slots.live:
        yield ok("nginx", "nginx is installed and new enough")
    elif proxy.serves(visit.agreed.route(visit.app.paths)):
        yield ok("nginx", f"nginx runs, and has the site of {proxy.url(visit.agreed.route(visit.app.paths))}")
    else:
        yield fault("nginx", f"nginx does not serve {visit.app.name} now", "teal deploy")
