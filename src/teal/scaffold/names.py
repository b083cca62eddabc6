"""Makes an app's name, `[a-z][a-z0-9-]{0,30}`, from any text."""

import re
import unicodedata

MAX_LENGTH = 31
FALLBACK = "app"


def app_name(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if words[:1].isdigit():
        words = f"{FALLBACK}-{words}"
    return words[:MAX_LENGTH].rstrip("-") or FALLBACK


def last_part(name: str) -> str:
    """The last part of a path-like name: `@scope/shop` is `shop`."""
    return name.rstrip("/").rpartition("/")[2]
