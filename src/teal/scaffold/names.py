"""An app's name, made to fit `[a-z][a-z0-9-]{0,30}`."""

import re
import unicodedata

LONGEST = 31
FALLBACK = "app"


def fitted(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if words[:1].isdigit():
        words = f"{FALLBACK}-{words}"
    return words[:LONGEST].rstrip("-") or FALLBACK


def last(name: str) -> str:
    """The last part of a path-like name: `@scope/shop` is `shop`."""
    return name.rstrip("/").rpartition("/")[2]
