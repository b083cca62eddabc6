"""The grammar of every name and value that a user can write. Both sides check with the same allow-lists.

A check takes a value and returns what is wrong with it, or None. A value that passes may reach nginx text, a unit file,
an argv or a path. So each check says what is allowed, never what is forbidden (Dokku's CVE-2026-45408 was a pattern
that only excluded). The checks use `fullmatch`, because `$` accepts a trailing newline.
"""

import base64
import re
import sys
from typing import Annotated, Any, Callable, Dict, Literal, Optional, Tuple

Color = Literal["blue", "green"]
KeyWord = Literal["deploy", "rollback", "status", "releases", "logs"]
KEY_WORDS: Tuple[KeyWord, ...] = ("deploy", "rollback", "status", "releases", "logs")  # what a deploy key may be for
COLORS: Tuple[Color, ...] = ("blue", "green")  # an app begins on the first, which nginx takes without a marker
PLACEHOLDERS = ("port", "color", "release", "data_dir", "host", "socket", "port2")
RESERVED_ENV = ("PORT", "HOST", "COLOR", "RELEASE", "DATA_DIR")

_APP = re.compile(r"[a-z][a-z0-9-]{0,30}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PLACEHOLDER = re.compile(r"\{([a-z_]+|port2)\}")
_ABSOLUTE = re.compile(r"(/[A-Za-z0-9._-]+)+")
_CAPABILITY = re.compile(r"CAP_[A-Z_]{1,40}")
_PUBLIC_KEY = re.compile(
    r"(?:ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa|sk-ssh-ed25519@openssh\.com"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{40,4000}={0,3}(?: [A-Za-z0-9@._+:/ -]{0,200})?"
)
_CERTIFICATE = re.compile(r"[a-z0-9-]+-cert-v01@openssh\.com ")
MOST_PRINCIPALS = 40  # sshd reads no more
_AS_GOOD_AS_ROOT = {
    "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH",
    "CAP_SETUID", "CAP_SETGID", "CAP_SETFCAP", "CAP_CHOWN", "CAP_FOWNER", "CAP_MKNOD", "CAP_SYS_CHROOT", "CAP_BPF",
}  # fmt: skip


def other_color(color: Color) -> Color:
    """The color on which the next release starts while this color serves."""
    return COLORS[(COLORS.index(color) + 1) % len(COLORS)]


def form(pattern: str, complaint: str, shown: int = 60) -> Callable[[str], Optional[str]]:
    """A check that the whole text has this form. The complaint may show the beginning of another text as `{!r}`."""
    return lambda value: None if re.fullmatch(pattern, value) else complaint.format(value[:shown])


release_name = form("[0-9]{4,9}-[0-9a-f]{12}", "{!r} is not the name of a release; one looks like 0007-3f2a9c1b7d4e")
digest = form("[0-9a-f]{64}", "must be a SHA-256 in lower-case hex")
deploy_id = form("[0-9a-f]{32}", "must be 32 hex digits")
env_version = form("([0-9a-f]{16})?", "is not a version of an environment")  # empty where nothing is set
system_call_group = form("@?[a-z0-9_-]{1,60}", "{!r} is not a system call or a group such as @resources")
key_digest = form("SHA256:[A-Za-z0-9+/]{43}", "is not the fingerprint of a key: SHA256:…")  # as of ssh-keygen -l
# A name in a certificate. It ends no word of authorized_keys. sshd before 10.3 splits a certificate's at `,`.
principal = form(
    "[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,127}",
    "{!r} is not a principal: a letter or digit, then up to 127 letters, digits and . _ @ + : / -",
    shown=40,
)


def app_name(value: str) -> Optional[str]:
    if value == "teal":
        return '"teal" is Teal\'s own name here; choose another'
    if _APP.fullmatch(value):
        return None
    return f"{value[:40]!r} must be a lower-case letter, then up to 30 of a-z, 0-9 and -"


def release_reference(value: str) -> Optional[str]:
    """How a person names a release: in full, or by its number."""
    return None if _NUMBER.fullmatch(value) else release_name(value)


def env_name(value: str) -> Optional[str]:
    if not _ENV_NAME.fullmatch(value):
        return "is not a name for an environment variable: letters, digits and _ only"
    if value in RESERVED_ENV or value.startswith("TEAL_"):
        return "is set by Teal; choose another name"
    return None


def env_value(value: str) -> Optional[str]:
    return _no_text(value) or (None if len(value.encode()) <= 32_768 else "is longer than 32,768 bytes")


def _no_text(value: str) -> Optional[str]:
    """Why no environment and no argv can hold it, whatever its length."""
    if "\0" in value:
        return "must not contain a NUL character"
    return None if encodable(value) else "must be valid Unicode"


def argument(value: str) -> Optional[str]:
    """One element of a command: whatever an argv can carry, with known placeholders only."""
    return _no_text(value) or (unknown_placeholder(value) if len(value) <= 8192 else "is longer than 8,192 characters")


def word(value: str) -> Optional[str]:
    """One word of a command that Teal runs unchanged. Linux accepts no longer word."""
    return _no_text(value) or (None if len(value.encode()) < 131_072 else "is longer than 131,071 bytes")


def unknown_placeholder(value: str) -> Optional[str]:
    for name in _PLACEHOLDER.findall(value):
        if name not in PLACEHOLDERS:
            return f"{{{name}}} is not known; there are " + ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
    return None


def json_value(value: Any) -> Optional[str]:
    """A value that JSON can hold. The check does not look into lists and tables."""
    if isinstance(value, str):
        return unknown_placeholder(value) if encodable(value) else "must be valid Unicode"
    if value is None or isinstance(value, (bool, dict, list, tuple)):
        return None
    if isinstance(value, (int, float)):
        return None if abs(value) <= sys.float_info.max else "has a number that is too large"
    return f"has a {type(value).__name__}, which JSON does not have"


def file_path(value: str) -> Optional[str]:
    """A path inside a release: relative, without a way upward and without control characters."""
    parts = value.split("/")
    if not value or len(value.encode(errors="replace")) > 1024 or len(parts) > 64 or not encodable(value):
        return f"{value[:60]!r} is not a path that a release can hold"
    if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts) or not value.isprintable():
        return f"{value[:60]!r} is not a path that a release can hold"
    return None


def absolute_path(value: str) -> Optional[str]:
    """A directory on the server that a unit file can name: without space, quote, % or way upward."""
    if not _ABSOLUTE.fullmatch(value) or len(value) > 512 or any(part in (".", "..") for part in value.split("/")):
        return f"{value[:60]!r} must be an absolute path, such as /srv/uploads, of letters, digits and . _ - / only"
    return None


def program_path(value: str) -> Optional[str]:
    """The path of a program or loader. The server side only checks whether it exists."""
    if value.startswith("/") and len(value) <= 4096 and value.isprintable() and encodable(value):
        return None
    return f"{value[:60]!r} must be an absolute path"


def program_name(value: str) -> Optional[str]:
    """The name of a program that the server side searches for on PATH."""
    if value and len(value) <= 255 and "/" not in value and value.isprintable() and encodable(value):
        return None
    return f"{value[:60]!r} is not the name of a program"


def capability(value: str) -> Optional[str]:
    """Linux capabilities (capabilities(7)), except those that make a program as powerful as root."""
    if not _CAPABILITY.fullmatch(value):
        return f"{value[:60]!r} is not a capability, such as CAP_NET_BIND_SERVICE"
    return f"{value} would make the program as good as root" if value in _AS_GOOD_AS_ROOT else None


def public_key(value: str) -> Optional[str]:
    """One line of an OpenSSH public key file: type, key, comment; no options before it (sshd(8))."""
    if _PUBLIC_KEY.fullmatch(value) and _is_of_its_type(*value.split(" ")[:2]):
        return None
    what = "is a certificate, and" if _CERTIFICATE.match(value) else "is"
    return f"{what} not an OpenSSH public key: ssh-ed25519 AAAA… comment"


def _is_of_its_type(kind: str, packed: str) -> bool:
    """The packed key begins with its type's length and name (RFC 4253, 6.6)."""
    try:
        key = base64.b64decode(packed, validate=True)
    except ValueError:
        return False
    return key.startswith(len(kind).to_bytes(4, "big") + kind.encode())


def between(low: float, high: float) -> Any:
    """A check that a number lies in a range. Both ends belong to the range."""

    def check(value: float) -> Optional[str]:
        return None if low <= value <= high else f"{value:g} is out of range; use {low:g} to {high:g}"

    return check


def line(value: str) -> Optional[str]:
    """One line of text that Teal shows, such as a user, a host or a commit."""
    return None if len(value) <= 512 and value.isprintable() else "must be one printable line"


def fill(template: str, values: Dict[str, str]) -> str:
    """The template with these placeholders replaced. Teal has rejected a template with others on arrival."""
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), template)


def encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


AppName = Annotated[str, app_name]
ReleaseName = Annotated[str, release_name]
ReleaseReference = Annotated[str, release_reference]
Digest = Annotated[str, digest]
DeployId = Annotated[str, deploy_id]
Token = Annotated[str, deploy_id]
EnvName = Annotated[str, env_name]
EnvValue = Annotated[str, env_value]
EnvVersion = Annotated[str, env_version]
Argument = Annotated[str, argument]
Word = Annotated[str, word]
FilePath = Annotated[str, file_path]
Line = Annotated[str, line]
AbsolutePath = Annotated[str, absolute_path]
ProgramPath = Annotated[str, program_path]
ProgramName = Annotated[str, program_name]
Capability = Annotated[str, capability]
SystemCallGroup = Annotated[str, system_call_group]
PublicKey = Annotated[str, public_key]
KeyDigest = Annotated[str, key_digest]
Principal = Annotated[str, principal]
