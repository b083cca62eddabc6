"""Lines of [proxy] directives that would send the program a header twice: the one of Teal's, and another."""

from collections.abc import Iterator, Sequence

from teal_host.wire import nginx_words
from teal_host.wire.typed import Mistake

# nginx sends the program each of these, and a second line of its name beside it (proxies/nginx/server.py).
_OF_A_REQUEST = ("host", "connection", "upgrade", "x-forwarded-host")
_OF_A_CLIENT = ("x-forwarded-for", "x-forwarded-proto", "x-real-ip")
_IN_A_LOCATION = "set it in a location of your own, where proxy_set_header replaces all of Teal's"
_BY_TRUST = "name who says it in [proxy] trusted, and leave this line out"
_WAYS = {**dict.fromkeys(_OF_A_REQUEST, _IN_A_LOCATION), **dict.fromkeys(_OF_A_CLIENT, _BY_TRUST)}


def set_twice(directives: Sequence[str]) -> Iterator[Mistake]:
    for index, directive in enumerate(directives):
        name = _header(directive)
        way = _WAYS.get(name.lower())
        if way:
            message = f"sets {name}, which Teal sets already, so the program would get both; {way}"
            yield Mistake(f"proxy.directives[{index}]", message)


def _header(directive: str) -> str:
    words = [word.text for word in nginx_words.words(directive)]
    return words[1] if words[0] == "proxy_set_header" else ""
