"""The locations of a site: everything goes to a color, but for the path at which Teal asks what is in effect."""

from string import Template

from teal_host.proxies.nginx.parameters import SiteParameters

_APP = """\
    location / {
        proxy_pass http://$teal_app;
    }
"""
_GENERATION = Template("""\
    location = ${path} {
        access_log off;
        default_type text/plain;
        return 200 "${generation}";
    }
""")


def app(_: SiteParameters) -> str:
    return _APP


def generation(site: SiteParameters) -> str:
    return _GENERATION.substitute(path=site.route.own_path, generation=site.generation)
