"""The logs of one site: what Teal reads while it watches, and what the machine's nginx logs of every site."""

import re
from pathlib import Path
from string import Template
from typing import Optional, Set, Tuple

from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.proxies.nginx.parts.quoting import quoted
from teal_host.proxies.nginx.tree import Directive, Tree, matches

# Who, which color and which status; nothing of what was asked for. Teal's own requests have something before the bar.
# nginx writes it only in seconds for which Teal has made a file: no disk fills up after Teal.
_FORMAT = Template("""\
log_format teal_${name} "$$teal_${name}_answered|$$remote_addr $$upstream_addr $$status";
map $$msec $$teal_${name}_now { default ""; "~^([0-9]+)[0-9][.]" $$1; }
""")
_STOOD_IN_FORMAT = Template("""\
log_format teal_${name}_fallback "$$msec $$status";
map $$upstream_status $$teal_${name}_rescued { default ""; "~ : (?!50[24])[0-9]" 1; }
""")
_STOOD_IN = Template("""\
        access_log ${path} teal_${name}_fallback if=$$teal_${name}_rescued;
""")
_CONDITION = Template("""\
    uninitialized_variable_warn off;
    set $$teal_watched "";
    if (-f "${watched}-$$teal_${name}_now") { set $$teal_watched 1; }
""")
_ACCESS_LOG = Template("""\
    access_log ${path} teal_${name} buffer=16k flush=500ms if=$$teal_watched;
""")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=$,@%+-]+")  # words that need no quotes
_ALWAYS_KNOWN = "combined"


def log_format(site: SiteParameters) -> str:
    if site.log is None:
        return ""
    stood_in = _STOOD_IN_FORMAT.substitute(name=site.name) if site.route.fallback else ""
    return _FORMAT.substitute(name=site.name) + stood_in


def fallback_log(watched: Path) -> Path:
    """Beside the log of the watch: a line for each request that the standby answered. logrotate knows the ending."""
    return watched.with_name(f"{watched.stem}.fallback.log")


def fallback_logs(site: SiteParameters) -> str:
    """A location with a log of its own inherits none, so all that the server block has stand there again."""
    if site.log is None:
        return ""
    own = [line.strip() for line in site.route.rules.directives if _is_log(line)]
    again = "".join(f"    {line}\n" for line in [*access_logs(site).splitlines(), *(f"    {line}" for line in own)])
    return _STOOD_IN.substitute(path=quoted(fallback_log(site.log.path)), name=site.name) + again


def condition(site: SiteParameters) -> str:
    """nginx looks for the file that Teal makes while it watches, for ten seconds at a time."""
    if site.log is None:
        return ""
    watched = quoted(site.route.live.with_name("watched")).strip('"')
    return _CONDITION.substitute(watched=watched, name=site.name)


def access_logs(site: SiteParameters) -> str:
    """The last part, so that no line of the user's own directives moves. If a directive of theirs logs, that is all
    they want."""
    if site.log is None:
        return ""
    own = _ACCESS_LOG.substitute(path=quoted(site.log.path), name=site.name)
    logs_anyway = any(map(_is_log, site.route.rules.directives))
    return own + "".join(f"    access_log {words};\n" for words in (() if logs_anyway else site.log.others))


def _is_log(directive: str) -> bool:
    return directive.strip().startswith("access_log")


def inherited(tree: Tree, path: str) -> Optional[Tuple[str, ...]]:
    """The arguments of each access_log that a site in the file `path` inherits.

    None if the site's file cannot repeat them: odd words, a format that nginx reads only later, or no access_log at
    all, because then nginx writes to a path that was chosen when nginx was built.
    """
    logs = [directive for directive in tree.http() if directive.name == "access_log"]
    known = _formats_before(tree, path)
    if not logs or not all(_can_be_repeated(directive, known) for directive in logs):
        return None
    return tuple(" ".join(directive.args) for directive in logs if directive.args != ("off",))


def _can_be_repeated(log: Directive, known: Set[str]) -> bool:
    named = log.args[1:2] if log.args[1:2] and "=" not in log.args[1] else (_ALWAYS_KNOWN,)
    return all(_PLAIN.fullmatch(word) for word in log.args) and named[0] in known


def _formats_before(tree: Tree, path: str) -> Set[str]:
    """nginx must have read a format before it reads a log that names it."""
    known = {_ALWAYS_KNOWN}
    for directive in tree.http():
        if directive.name == "include" and directive.args and matches(tree.full(directive.args[0]), path):
            formats = (inner for inner in directive.all("log_format") if inner.file.encode() < path.encode())
            return known | {inner.args[0] for inner in formats}
        if directive.name == "log_format":
            known.add(directive.args[0])
    return known
