"""certbot of the distribution. It orders a certificate here, and its own timer renews that certificate.

What it writes chooses only the words of an error.
"""

import re
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from teal_host.ground import files, systemctl
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.ground.run import run
from teal_host.wire.app import Https
from teal_host.wire.sources import PYTHON
from teal_host.wire.values import dataclass

PROGRAM = "certbot"
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
HOOK = "certificates"  # the word of the installed server side
_SYSTEMS_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_ORDER_S, _DELETE_S = 300.0, 60.0
_LONGEST_SENTENCE = 400
_TIMER = "certbot.timer"
_UNEXPECTED = "An unexpected error occurred:"
_FILLERS = ("Ask for help", "Saving debug log", "See the logfile", "Hint:", "Some challenges have failed", "- - -")


@dataclass(frozen=True)
class Lineage:
    """What certbot keeps of one app, under a name that certbot's other users do not have."""

    paths: AppPaths

    @property
    def name(self) -> str:
        return f"teal-{self.paths.app}"

    @property
    def chain(self) -> Path:
        return self._home / "live" / self.name / "fullchain.pem"

    @property
    def key(self) -> Path:
        return self._home / "live" / self.name / "privkey.pem"

    @property
    def renewal(self) -> Path:
        return self._home / "renewal" / f"{self.name}.conf"

    @property
    def _home(self) -> Path:
        return self.paths.root / "etc/letsencrypt"


@dataclass(frozen=True)
class Order:
    lineage: Lineage
    names: Tuple[str, ...]
    https: Https
    host: HostPaths

    @property
    def directory(self) -> str:
        return self.https.directory or LETS_ENCRYPT


def argv(order: Order) -> List[str]:
    """The key stays the same at a renewal: nginx opens certificate and key one after the other."""
    email = order.https.email
    words = ["env", *([f"REQUESTS_CA_BUNDLE={order.host.authorities}"] if order.https.ca_file else [])]
    words += [PROGRAM, "certonly", "--webroot", "--webroot-path", str(order.lineage.paths.challenges)]
    words += ["--cert-name", order.lineage.name, "--non-interactive", "--agree-tos", "--server", order.directory]
    words += ["--email", email] if email else ["--register-unsafely-without-email"]
    words += ["--reuse-key", "--key-type", "ecdsa", "--renew-with-new-domains"]
    words += ["--force-renewal" if _is_of_another_ca(order) else "--keep-until-expiring"]
    words += ["--deploy-hook", hook(order.host)]
    return [*words, *(word for name in order.names for word in ("--domain", name))]


def hook(host: HostPaths) -> str:
    return f"{PYTHON} -I -S {host.installed} {HOOK}"


def refusal(order: Order) -> Optional[str]:
    """Order the certificate. Says in one sentence why there is none; None where all is well."""
    try:
        ran = run(argv(order), _ORDER_S)
    except CannotRun as error:
        return error.message
    return sentence(ran.lines) if ran.code else None


def delete(lineage: Lineage) -> None:
    """Raises CannotRun. Where certbot is gone, what it has kept stays."""
    if lineage.renewal.exists() and any(Path(folder, PROGRAM).exists() for folder in ("/usr/bin", "/usr/local/bin")):
        ran = run([PROGRAM, "delete", "--non-interactive", "--cert-name", lineage.name], _DELETE_S)
        if ran.code:
            raise CannotRun(f"certbot does not forget {lineage.name}: {sentence(ran.lines)}", hint="try again")


def renews() -> bool:
    """Does the distribution's timer run, which orders the next certificate?"""
    return systemctl.properties(_TIMER, ["ActiveState"]).get("ActiveState") == "active"


def write_authorities(host: HostPaths, texts: Sequence[str]) -> None:
    """Those that the system trusts, and those of ca_file, for certbot alone: it also renews what others ordered."""
    content = "\n".join([files.text_of(_SYSTEMS_AUTHORITIES) or "", *sorted({*texts})])
    if (texts or host.authorities.exists()) and files.text_of(host.authorities) != content:
        files.write(host.authorities, content)


def sentence(lines: Sequence[str]) -> str:
    """The CA's own words, in one line."""
    stripped = [line.strip() for line in lines]
    details = list(dict.fromkeys(_about(stripped)))
    if not details and _UNEXPECTED in stripped:
        details = [line for line in stripped[stripped.index(_UNEXPECTED) + 1 :] if _has_words(line)][:1]
    details = details or [line for line in stripped if _has_words(line)][-1:]
    text = re.sub(r"\s+", " ", "; ".join(details)) or "certbot gives no reason"
    return text if len(text) <= _LONGEST_SENTENCE else f"{text[: _LONGEST_SENTENCE - 1]}…"


def _about(lines: Sequence[str]) -> List[str]:
    """What the CA says of each name."""
    details: Dict[str, str] = {}
    name = ""
    for line in lines:
        word, _, rest = line.partition(":")
        if word == "Domain":
            name = rest.strip()
        elif word == "Detail":
            details[name] = f"{name}: {rest.strip()}"
    return list(details.values())


def _has_words(line: str) -> bool:
    return bool(line) and not line.startswith(_FILLERS)


def _is_of_another_ca(order: Order) -> bool:
    text = files.text_of(order.lineage.renewal) or ""
    server = re.search(r"(?m)^server\s*=\s*(\S+)$", text)
    return server is not None and server[1] != order.directory
