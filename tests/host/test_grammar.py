"""Every name and value: a valid value passes wherever it goes, a refused value is named, and no text breaks a check."""

import os
import re
from collections.abc import Callable
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from host import values
from teal_host.wire import grammar, site_grammar

Check = Callable[[str], str | None]
ANY = st.text(st.characters(), max_size=80) | st.sampled_from(["x" * 40_000, "é" * 40_000, "\ud800", "a\n", "\0", ""])
CHECKS: dict[str, Check] = {
    "app_name": grammar.app_name,
    "release_name": grammar.release_name,
    "digest": grammar.digest,
    "deploy_id": grammar.deploy_id,
    "domain": site_grammar.domain,
    "email": site_grammar.email,
    "https_url": site_grammar.https_url,
    "certificate": site_grammar.certificate,
    "trusted": site_grammar.trusted,
    "env_name": grammar.env_name,
    "env_value": grammar.env_value,
    "url_path": site_grammar.url_path,
    "argument": grammar.argument,
    "file_path": grammar.file_path,
    "line": grammar.line,
    "json_value": grammar.json_value,
}
GOOD: list[tuple[str, str]] = [
    ("app_name", "a"),
    ("app_name", "a1-b"),
    ("app_name", "a" * 31),
    ("app_name", "a-"),
    ("app_name", "teal2"),
    ("release_name", "0001-0123456789ab"),
    ("release_name", "123456789-0123456789ab"),
    ("domain", "example.com"),
    ("domain", "*.example.com"),
    ("email", "me.x+y@example.com"),
    ("https_url", "https://ca.example.com:14000/dir"),
    ("certificate", "files"),
    ("trusted", "cloudflare"),
    ("trusted", "203.0.113.7"),
    ("trusted", "203.0.113.0/24"),
    ("trusted", "2001:db8::/32"),
    ("domain", "a"),
    ("domain", "localhost"),
    ("domain", "xn--bcher-kva.example"),
    ("domain", "_dmarc.example.com"),
    ("domain", "a-b.c_d.example"),
    ("domain", "1.example"),
    ("domain", "a" * 63),
    ("domain", ".".join(["a" * 62] * 4)),
    ("env_name", "A"),
    ("env_name", "_"),
    ("env_name", "lower_1"),
    ("env_name", "A" * 128),
    ("env_name", "PORT_"),
    ("env_value", ""),
    ("env_value", "a\nb\tc\x01"),
    ("env_value", "é€😀"),
    ("env_value", "$(id) `id` ; ' \" \\"),
    ("env_value", "x" * 32_768),
    ("env_value", "😀" * 8_192),
    ("url_path", "/"),
    ("url_path", "/healthz?full=1&x=%20"),
    ("url_path", "/{color}/{port}"),
    ("url_path", "/a/../b"),
    ("argument", ""),
    ("argument", "-x"),
    ("argument", "a\nb"),
    ("argument", "{port}"),
    ("argument", "{"),
    ("argument", "{}"),
    ("argument", '{"json": 1}'),
    ("argument", "{PORT}"),
    ("argument", "{{port}}"),
    ("argument", "x" * 8192),
    ("file_path", "app"),
    ("file_path", "a/b c/é.txt"),
    ("file_path", "..."),
    ("file_path", "-rf"),
    ("file_path", "a\\b"),
    ("file_path", "x" * 255),
    ("file_path", "/".join("a" * 64)),
    ("file_path", ".env"),
    ("file_path", "C:\\x"),
    ("line", ""),
    ("line", "é me@host"),
    ("line", "x" * 512),
]
BAD: list[tuple[str, str, str]] = [
    ("app_name", "", "must be a lower-case letter"),
    ("app_name", "a" * 32, "must be"),
    ("app_name", "A", "must be"),
    ("app_name", "1a", "must be"),
    ("app_name", "-rf", "must be"),
    ("app_name", "../x", "must be"),
    ("app_name", "a;id", "must be"),
    ("app_name", "a\n", "must be"),
    ("app_name", "a$(id)", "must be"),
    ("app_name", "a%n", "must be"),
    ("app_name", "а", "must be"),
    ("app_name", "a/b", "must be"),
    ("app_name", "teal", "own name"),
    ("app_name", "x" * 300, "must be"),
    ("app_name", "a b", "must be"),
    ("release_name", "1-0123456789ab", "is not the name of a release"),
    ("release_name", "0001-0123456789AB", "is not"),
    ("release_name", "../0001-0123456789ab", "is not"),
    ("release_name", "0001-0123456789ab\n", "is not"),
    ("release_name", "٠٠٠١-0123456789ab", "is not"),
    ("release_name", "", "is not"),
    ("digest", "A" * 64, "SHA-256"),
    ("digest", "a" * 63, "SHA-256"),
    ("digest", "a" * 64 + "\n", "SHA-256"),
    ("deploy_id", "a" * 31, "32 hex"),
    ("deploy_id", "g" * 32, "32 hex"),
    ("domain", "", "is not a host name"),
    ("domain", "a b", "is not"),
    ("domain", "a;b", "is not"),
    ("domain", "a}", "is not"),
    ("domain", "a\n", "is not"),
    ("domain", "$host", "is not"),
    ("domain", "*", "is not"),
    ("domain", "*.", "is not"),
    ("domain", "*.*.example.com", "is not"),
    ("domain", "a.*.example.com", "is not"),
    ("domain", "*example.com", "is not"),
    ("domain", "*.203.0.113.9", "is not"),
    ("email", "me", "is not an address"),
    ("email", "me@example.com\n", "is not an address"),
    ("email", "-o@example.com", "is not an address"),
    ("email", "me@example.com --x", "is not an address"),
    ("https_url", "http://ca.example.com/dir", "is not a URL"),
    ("https_url", "https://ca.example.com/dir --force", "is not a URL"),
    ("https_url", "https://ca.example.com/dir\n", "is not a URL"),
    ("certificate", "file", "is none of"),
    ("trusted", "example.com", "is neither"),
    ("trusted", "203.0.113.0/24;", "is neither"),
    ("trusted", "203.0.113.0/33", "is neither"),
    ("trusted", "0.0.0.0/0", "is everybody"),
    ("trusted", "::/0", "is everybody"),
    ("trusted", "203.0.113.7/24", "write 203.0.113.0/24"),
    ("domain", "_", "is not"),
    ("domain", '"a"', "is not"),
    ("domain", "~^a", "is not"),
    ("domain", ".example.com", "is not"),
    ("domain", "example.com.", "is not"),
    ("domain", "a..b", "is not"),
    ("domain", "-a.b", "is not"),
    ("domain", "a-.b", "is not"),
    ("domain", "a" * 64, "is not"),
    ("domain", "a:80", "is not"),
    ("domain", "a#b", "is not"),
    ("domain", "Example.com", 'lower case, "example.com"'),
    ("domain", "bücher.example", '"xn--bcher-kva.example"'),
    ("domain", "é" * 70, "ASCII form"),
    ("domain", "a" * 300, "longer than"),
    ("domain", "é" * 300, "longer than"),
    ("domain", "127.0.0.1", "is an address"),
    ("env_name", "", "is not a name"),
    ("env_name", "1A", "is not"),
    ("env_name", "A-B", "is not"),
    ("env_name", "A=B", "is not"),
    ("env_name", "A\n", "is not"),
    ("env_name", "É", "is not"),
    ("env_name", "A" * 129, "is not"),
    ("env_name", "PORT", "set by Teal"),
    ("env_name", "DATA_DIR", "set by Teal"),
    ("env_name", "TEAL_SLOT", "set by Teal"),
    ("env_value", "a\0b", "NUL"),
    ("env_value", "\ud800", "Unicode"),
    ("env_value", "x" * 32_769, "longer"),
    ("env_value", "😀" * 8_193, "longer"),
    ("url_path", "", "must be a path"),
    ("url_path", "healthz", "must be"),
    ("url_path", "//evil.example", "must be"),
    ("url_path", "http://169.254.169.254/", "must be"),
    ("url_path", "/a b", "must be"),
    ("url_path", "/a\r\nX: y", "must be"),
    ("url_path", "/a\n", "must be"),
    ("url_path", "/é", "must be"),
    ("url_path", "/\\x", "must be"),
    ("url_path", "/#x", "must be"),
    ("url_path", "/" + "x" * 1025, "must be"),
    ("url_path", "/{colour}", "{colour} is not known"),
    ("argument", "a\0b", "NUL"),
    ("argument", "\ud800", "Unicode"),
    ("argument", "x" * 8193, "longer"),
    ("argument", "{colour}", "{port}, {color}"),
    ("argument", "{port}{x}", "{x} is not known"),
    ("file_path", "", "not a path"),
    ("file_path", "/etc/passwd", "not a path"),
    ("file_path", "../x", "not a path"),
    ("file_path", "a/../../x", "not a path"),
    ("file_path", "a/./b", "not a path"),
    ("file_path", "a//b", "not a path"),
    ("file_path", "a/", "not a path"),
    ("file_path", ".", "not a path"),
    ("file_path", "a\nb", "not a path"),
    ("file_path", "a\0", "not a path"),
    ("file_path", "\x1b[31m", "not a path"),
    ("file_path", "a\u202eb", "not a path"),
    ("file_path", "\ud800", "not a path"),
    ("file_path", "x" * 256, "not a path"),
    ("file_path", "é" * 128, "not a path"),
    ("file_path", "/".join("a" * 65), "not a path"),
    ("file_path", "/".join(["x" * 200] * 6), "not a path"),
    ("line", "a\nb", "one printable line"),
    ("line", "\x1b]52;c;x", "one printable"),
    ("line", "x" * 513, "one printable"),
]


@pytest.mark.parametrize(("check", "value"), GOOD)
def test_grammar_allows_well_formed_names_and_values(check: str, value: str) -> None:
    assert CHECKS[check](value) is None


@pytest.mark.parametrize(("check", "value", "reason"), BAD)
def test_grammar_refuses_malformed_names_and_values_and_says_why(check: str, value: str, reason: str) -> None:
    complaint = CHECKS[check](value)
    assert complaint is not None
    assert reason in complaint


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
@given(value=ANY)
def test_grammar_check_answers_briefly_for_any_text(check: Check, value: str) -> None:
    complaint = check(value)
    assert complaint is None or len(complaint) < 1500


@given(values.APPS | ANY)
@example("a\n")
def test_app_name_is_one_plain_word_when_it_passes(name: str) -> None:
    if grammar.app_name(name) is None:
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name, re.ASCII)
        assert not name.endswith("\n")


@given(
    st.lists(st.sampled_from(["a", "..", ".", "", "b c", "\n", "é", "/", "\0", "x" * 300]), max_size=6).map("/".join)
    | ANY
)
def test_file_path_stays_below_its_directory_when_it_passes(path: str) -> None:
    if grammar.file_path(path) is not None:
        return
    assert not PurePosixPath(path).is_absolute()
    assert os.path.normpath(f"/top/{path}") == f"/top/{path}"
    assert path.isprintable()
    assert max(len(part.encode()) for part in path.split("/")) <= 255


@given(values.URL_PATHS | ANY)
def test_url_path_is_one_word_of_a_request_line_when_it_passes(path: str) -> None:
    if site_grammar.url_path(path) is None:
        assert re.fullmatch(r"/[!-~]*", path)
        assert not path.startswith("//")


@given(st.text())
def test_template_keeps_a_placeholder_without_a_value(text: str) -> None:
    assert grammar.fill(text, {}) == text


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{port}", "8081"),
        ("a{port}b{color}", "a8081bblue"),
        ("{{port}}", "{8081}"),
        ("{host}", "{port}"),
        ("{release}", "{release}"),
        ("{nope} {PORT} {} {", "{nope} {PORT} {} {"),
    ],
)
def test_template_never_fills_a_filled_value_again(template: str, filled: str) -> None:
    assert grammar.fill(template, {"port": "8081", "color": "blue", "host": "{port}"}) == filled


def test_template_gets_a_value_for_each_placeholder_that_is_known() -> None:
    """At 859ecac a program was started with `{port2}` as it stands."""
    for name in grammar.PLACEHOLDERS:
        assert grammar.fill(f"a{{{name}}}b", {name: "7"}) == "a7b"
        assert grammar.unknown_placeholder(f"{{{name}}}") is None


@pytest.mark.parametrize(("value", "good"), [(0, False), (1, True), (65535, True), (65536, False), (-1, False)])
def test_port_is_limited_to_the_range_of_tcp(value: int, good: bool) -> None:
    assert (site_grammar.port(value) is None) == good


@pytest.mark.parametrize(("value", "good"), [(80, False), (1023, False), (1024, True), (65535, True), (65536, False)])
def test_app_port_is_never_a_privileged_port(value: int, good: bool) -> None:
    assert (site_grammar.app_port(value) is None) == good


@pytest.mark.parametrize(("value", "good"), [(99, False), (100, True), (200, True), (599, True), (600, False)])
def test_status_code_is_limited_to_the_range_of_http(value: int, good: bool) -> None:
    assert (site_grammar.status_code(value) is None) == good


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": 1}, None),
        ([1], None),
        (None, None),
        (True, None),
        (0.5, None),
        (2**63, None),
        (1e308, None),
        ("x", None),
        (float("inf"), "too large"),
        (float("nan"), "too large"),
        (10**400, "too large"),
        (b"x", "bytes"),
        ({1}, "set"),
        ("\ud800", "Unicode"),
        ("{colour}", "not known"),
    ],
)
def test_json_value_is_limited_to_what_json_can_hold(value: object, reason: str | None) -> None:
    complaint = grammar.json_value(value)
    assert complaint is None if reason is None else reason in (complaint or "")
