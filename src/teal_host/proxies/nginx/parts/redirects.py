"""Who is sent elsewhere: from HTTP to HTTPS, and from another name to the first domain, each in one step.

Which names have HTTPS is asked of files, as the color is: no new certificate needs a reload. The questions of a
certificate authority, and those of Teal, which know the token, are never sent elsewhere.
"""

from string import Template

from teal_host.proxies.nginx.parts.maps import map_word
from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.proxies.nginx.parts.quoting import quoted

_ASKER = Template("""\
map $$http_x_teal_probe $$teal_${name}_asker { default ""; "${token}" 1; }
""")
_KIND = Template("""\
map $$teal_${name}_named $$teal_${name}_kind {
    default own;
${rows}}
""")
_MARKED = Template("""\
map $$teal_${name}_named $$teal_${name}_marked {
    default "";
${rows}}
""")
_GOTO = Template("""\
# The visitor's scheme; has this name HTTPS, and has the first; is the name one of the app's own or an alias; the path.
map "$$teal_${name}_asker${scheme} ${covered} ${kind} $$uri" $$teal_${name}_goto {
    default "";
    "~^https? .. [a-z]+ /[.]well-known/acme-challenge/" "";
${rows}}
""")
_COVERED = Template("""\
    set $$teal_covered 0;
    if (-f "${folder}/$$teal_${name}_marked") { set $$teal_covered 1; }
""")
_FIRST = Template("""\
    set $$teal_first 0;
    if (-f "${folder}/${first}") { set $$teal_first 1; }
""")
_GO = Template("""\
    if ($$teal_${name}_goto) { return 301 $$teal_${name}_goto$$request_uri; }
""")


def maps(site: SiteParameters) -> str:
    """The rest of the file may ask `asker`, so that part is there for a site with `trusted`, too."""
    route = site.route
    text = _ASKER.substitute(name=site.name, token=route.token) if _sends(site) or route.rules.trusted else ""
    if not _sends(site):
        return text
    aliases = route.site.redirects
    if aliases:
        rows = "".join(f"    {map_word(name)} alias;\n" for name in aliases)
        text += _KIND.substitute(name=site.name, rows=rows)
    if route.tls:
        rows = "".join(f'    {map_word(name)} "{name}";\n' for name in route.site.names)
        text += _MARKED.substitute(name=site.name, rows=rows)
    kind = f"$teal_{site.name}_kind" if aliases else "own"
    return text + _GOTO.substitute(
        name=site.name, scheme=site.scheme, covered=_covered(site), kind=kind, rows=_rows(site)
    )


def _covered(site: SiteParameters) -> str:
    if site.route.tls is None:
        return "00"
    return "$teal_covered$teal_first" if site.route.site.redirects else "${teal_covered}0"


def _rows(site: SiteParameters) -> str:
    route, first = site.route, site.route.site.host
    port = "" if route.site.http_port == 80 else f":{route.site.http_port}"
    upgraded = route.tls is not None and route.tls.redirect
    rows = []
    if route.site.redirects:
        rows.append(("^https .. alias " if route.tls is None else "^https 11 alias ", f"https://{first}"))
        rows += [("^http 11 alias ", f"https://{first}")] if upgraded else []
        rows.append(("^https? .. alias ", f"http://{first}{port}"))
    rows += [("^http 1. own ", f"https://$teal_{site.name}_named")] if upgraded else []
    return "".join(f'    "~{pattern}" "{target}";\n' for pattern, target in rows)


def send(site: SiteParameters) -> str:
    """Before anything else looks at the request."""
    if not _sends(site):
        return ""
    tls, text = site.route.tls, ""
    if tls:
        folder = quoted(tls.covered).strip('"')
        text = _COVERED.substitute(folder=folder, name=site.name)
        text += _FIRST.substitute(folder=folder, first=site.route.site.host) if site.route.site.redirects else ""
    return text + _GO.substitute(name=site.name)


def _sends(site: SiteParameters) -> bool:
    tls = site.route.tls
    return bool(site.route.site.redirects) or (tls is not None and tls.redirect)
