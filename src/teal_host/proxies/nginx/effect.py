"""Is a route in effect? Only the running nginx can say: its answer to Teal's own path is the generation of its file."""

from typing import Optional

from teal_host.ground.errors import CannotRun
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, http_get
from teal_host.proxies.nginx import listeners
from teal_host.proxies.nginx import site as nginx_site
from teal_host.state.route import Route
from teal_host.wire.reports import PROBE_HEADER

_ANSWER_S = 3.0  # a rollback waits for it twice when nginx hangs


def why_not_served(route: Route) -> Optional[str]:
    """None when nginx answers with exactly this route's generation.

    Raises CannotRun where nginx takes the connection and gives no answer: it may be slow, or be stopped.
    """
    address, headers = listeners.address(route.site), ((PROBE_HEADER, route.token),)  # such a request is not redirected
    request = ProbeRequest(address, route.own_path, route.site.host, headers, _ANSWER_S)
    try:
        answer = http_get(request)
    except NoAnswer as none:
        if none.silent:
            raise CannotRun(f"nginx gives no answer: {none}") from None
        return str(none)  # also where another site closes the connection, as `return 444` does
    if answer.status == 200 and answer.body.decode(errors="replace") == nginx_site.generation(route):
        return None
    return f"nginx answers {answer.status} to Teal's own path"
