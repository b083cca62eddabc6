"""One file of all apps: what nginx does with a handshake for a name that no site has.

Without it nginx would show the first app's certificate. The file stands only for addresses on which no site of others
listens; beside those, their default site stays what it is.
"""

from pathlib import Path
from string import Template
from typing import Iterable, Iterator, Optional, Sequence, Tuple

from teal_host.ground import files
from teal_host.proxies.nginx.parts.tls import SETTINGS

STEMS = ("teal-default", "teal-default_")  # the second where an app, which may be called so, has the first
_HEADING = "# Written by Teal for all its apps with HTTPS: a name that no site has gets no certificate and no page.\n"
_REJECTS = (1, 19, 4)  # the first nginx that needs no certificate to say no
_TEXT = Template("""\
${heading}server {
${listens}    server_name _;
${settings}${rejects}    return 444;
}
""")
_NO_SUCH_FILE = """\
    ssl_certificate /etc/teal/.none/$pid;
    ssl_certificate_key /etc/teal/.none/$pid;
"""


def text(listens: Sequence[str], version: Tuple[int, ...]) -> str:
    """`listens` such as `443 ssl`. An older nginx rejects a handshake for which it finds no certificate."""
    marked = "".join(f"    listen {listen} default_server;\n" for listen in listens)
    rejects = "    ssl_reject_handshake on;\n" if version >= _REJECTS else _NO_SUCH_FILE
    return _TEXT.substitute(heading=_HEADING, listens=marked, settings=SETTINGS, rejects=rejects)


def present(folders: Iterable[Path]) -> Iterator[Path]:
    """The file, wherever it is."""
    for path in (folder / f"{stem}.conf" for folder in sorted(set(folders)) for stem in STEMS):
        if (files.text_of(path) or "").startswith(_HEADING):
            yield path


def path_in(folder: Path) -> Optional[Path]:
    """Where the file may be written."""
    return next((path for path in (folder / f"{stem}.conf" for stem in STEMS) if not path.exists()), None)
