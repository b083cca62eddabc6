"""The log of the machine's nginx goes on beside Teal's own log, because the app's file repeats the directives."""

import pytest

from host.nginx_dumps import debian, dump
from teal_host.proxies.nginx.log import inherited
from teal_host.proxies.nginx.tree import parse

MAIN, OURS = "/etc/nginx/nginx.conf", "/etc/nginx/conf.d/teal-shop.conf"
READ = "include conf.d/*.conf;"


@pytest.mark.parametrize("release", [12, 13])
def test_access_log_of_debian_is_inherited(release: int) -> None:
    assert inherited(parse(debian(release)), OURS) == ("/var/log/nginx/access.log",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("access_log off;", ()),
        ("access_log a.log; access_log syslog:server=10.0.0.1 combined;", ("a.log", "syslog:server=10.0.0.1 combined")),
        ("access_log a.log combined buffer=32k if=$loud;", ("a.log combined buffer=32k if=$loud",)),
        ("log_format mine '$uri'; access_log a.log mine;", ("a.log mine",)),
        ("access_log a.log buffer=1k;", ("a.log buffer=1k",)),
    ],
)
def test_access_log_is_inherited_when_it_can_be_written_again(text: str, expected: tuple[str, ...]) -> None:
    assert inherited(parse(dump({MAIN: f"http {{ {text} {READ} }}"})), OURS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "server { access_log a.log; }",  # only nginx knows where it logs in this case
        "access_log 'a b.log';",
        "access_log a.log; access_log ~/x;",
    ],
)
def test_access_log_is_not_inherited_when_it_cannot_be_written_again(text: str) -> None:
    assert inherited(parse(dump({MAIN: f"http {{ {text} {READ} }}"})), OURS) is None


def test_log_format_must_be_known_where_the_app_file_is_read() -> None:
    known, late = "log_format mine '$uri';", f"http {{ access_log a.log mine; {READ} log_format mine '$uri'; }}"
    assert inherited(parse(dump({MAIN: late})), OURS) is None
    text = f"http {{ access_log a.log mine; {READ} }}"
    for file, expected in (("a", ("a.log mine",)), ("z", None)):
        beside = {f"/etc/nginx/conf.d/{file}.conf": known}
        assert inherited(parse(dump({MAIN: text, **beside})), OURS) == expected
