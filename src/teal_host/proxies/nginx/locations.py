"""The locations of a site: everything goes to a color, but for the path at which Teal asks what is in effect."""

from string import Template

from teal_host.proxies.nginx import log
from teal_host.proxies.nginx.parts.maps import ON_SOCKET
from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.proxies.nginx.parts.quoting import quoted
from teal_host.proxies.nginx.server import falls_back

_APP = """\
    location / {
        proxy_pass http://$teal_app;
    }
"""
_STANDBY = Template("""\
    # nginx comes here when the live color has given no answer. There is no such file where no color may stand in.
    location @teal_${name}_standby {
        recursive_error_pages off;
${nobody}        if (!-f "${fallback}/$$teal_${name}_instead") { return 502; }
${socket}        proxy_pass http://teal_${app}_$$teal_${name}_instead${on_socket};
${logs}    }
""")
_NOBODY = Template("""\
        if (!-e ${live}) { return 503; }
""")
# Asked of the color and not of the link, as in server.py.
_ON_SOCKET = Template("""\
        set $$teal_on_socket "";
        if (-f "${home}/$$teal_${name}_instead/socket") { set $$teal_on_socket _socket; }
""")
_GENERATION = Template("""\
    location = ${path} {
        access_log off;
        default_type text/plain;
        return 200 "${generation}";
    }
""")


def app(_: SiteParameters) -> str:
    return _APP


def standby(site: SiteParameters) -> str:
    if site.route.fallback is None or not falls_back(site.route):
        return ""
    path, home = (quoted(folder).strip('"') for folder in (site.route.fallback, site.route.live.parent))
    parts = {
        "nobody": _NOBODY.substitute(live=quoted(site.route.live)) if site.tells_of_nobody else "",
        "socket": _ON_SOCKET.substitute(home=home, name=site.name) if site.sockets else "",
        "on_socket": ON_SOCKET if site.sockets else "",
    }
    return _STANDBY.substitute(parts, name=site.name, app=site.route.app, fallback=path, logs=log.fallback_logs(site))


def generation(site: SiteParameters) -> str:
    return _GENERATION.substitute(path=site.route.own_path, generation=site.generation)
