"""The grammar of what a site has: its domains, ports, paths of probes and directives. See `grammar`."""

import re
from typing import Annotated, Optional

from teal_host.wire import nginx_words
from teal_host.wire.grammar import encodable, unknown_placeholder

ANY_LABEL = "*."  # begins a name of which the first label may be any
CERTIFICATES = ("letsencrypt", "files", "cloudflare", "none")
CLOUDFLARE = "cloudflare"
_EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9.-]{1,189}")
_HTTPS_URL = re.compile(r"https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[A-Za-z0-9._~/-]{0,500}")
_NETWORK = re.compile(r"[0-9a-f.:]{2,39}(/[0-9]{1,3})?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_URL_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?{}-]{0,1023}")


def domain(value: str) -> Optional[str]:
    """A host name that nginx's server_name takes literally (RFC 1123, and the underscore that DNS has).

    It may begin with one `*.`, for any one label.
    """
    bare = value[len(ANY_LABEL) :] if value.startswith(ANY_LABEL) else value
    if bare != value:
        is_bad = "*" in bare or domain(bare) is not None
        return f"{value[:60]!r} is not * before a host name, such as *.example.com" if is_bad else None
    if len(value) > 253:
        return f"{value[:60]!r} is longer than a host name can be"
    otherwise = _otherwise(value)
    if otherwise:
        return f"{value[:60]!r}: write {otherwise}"
    labels = value.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or value == "_":
        return f"{value[:60]!r} is not a host name, such as example.com"
    if labels[-1].isdigit():
        return f"{value!r} is an address; leave domains out to be the server's default site"
    return None


def _otherwise(value: str) -> Optional[str]:
    """The right spelling of the name that the user probably meant."""
    bare = re.split("[/:]", value.split("://", 1)[-1], maxsplit=1)[0]
    if bare != value and domain(bare) is None and ("." in bare or "://" in value):
        return f'the bare name, "{bare}"'
    if not value.isascii():
        return f"it in its ASCII form{_punycode(value)}"
    return f'it in lower case, "{value.lower()[:60]}"' if value != value.lower() else None


def _punycode(value: str) -> str:
    try:
        return f', "{value.encode("idna").decode()}"'
    except UnicodeError:
        return ""


def port(value: int) -> Optional[str]:
    return None if 1 <= value <= 65535 else f"{value} is not a port; ports are 1 to 65535"


def app_port(value: int) -> Optional[str]:
    """The ports of both colors. An app never runs as root, so it cannot listen below 1024."""
    return None if 1024 <= value <= 65535 else f"{value} is not a port that an app can have; use 1024 to 65535"


def url_path(value: str) -> Optional[str]:
    """The path of a probe, with or without a query. It names no other host and starts no second header line."""
    if not _URL_PATH.fullmatch(value):
        return f"{value[:60]!r} must be a path such as /healthz, of URL characters only"
    return unknown_placeholder(value)


def directive(value: str) -> Optional[str]:
    """One whole directive or block of nginx. It cannot end the block that it stands in; `nginx -t` judges the rest."""
    if len(value) > 16_384 or not encodable(value) or any(ord(char) < 32 and char not in "\t\n" for char in value):
        return "must be plain text of at most 16,384 characters"
    return nginx_words.whole_directive(value)


def status_code(value: int) -> Optional[str]:
    return None if 100 <= value <= 599 else f"{value} is not an HTTP status"


def certificate(value: str) -> Optional[str]:
    """Where the certificate of an app's names comes from."""
    return None if value in CERTIFICATES else f"{value[:40]!r} is none of {', '.join(map(repr, CERTIFICATES))}"


def email(value: str) -> Optional[str]:
    return None if _EMAIL.fullmatch(value) else f"{value[:60]!r} is not an address such as me@example.com"


def https_url(value: str) -> Optional[str]:
    """It stands in the arguments and the files of another program."""
    return None if _HTTPS_URL.fullmatch(value) else f"{value[:80]!r} is not a URL such as https://ca.example.com/dir"


def trusted(value: str) -> Optional[str]:
    """Whose word about a request counts: a network, or Cloudflare."""
    import ipaddress  # only for who has a proxy in front

    if value == CLOUDFLARE:
        return None
    try:
        network = ipaddress.ip_network(value if _NETWORK.fullmatch(value) else "", strict=False)
    except ValueError:
        return f'{value[:60]!r} is neither "{CLOUDFLARE}" nor an address or network such as 203.0.113.0/24'
    if network.prefixlen == 0:
        return f"{value!r} is everybody, and anybody could say to be somebody else; name the proxy's own network"
    is_plain = "/" not in value or ipaddress.ip_interface(value).ip == network.network_address
    return None if is_plain else f"{value!r} names one machine of a network; write {network}, or the address alone"


Domain = Annotated[str, domain]
Port = Annotated[int, port]
AppPort = Annotated[int, app_port]
UrlPath = Annotated[str, url_path]
StatusCode = Annotated[int, status_code]
Directive = Annotated[str, directive]
Certificate = Annotated[str, certificate]
Email = Annotated[str, email]
HttpsUrl = Annotated[str, https_url]
Trusted = Annotated[str, trusted]
