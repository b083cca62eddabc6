"""Teal's splitter of words, compared with nginx: for any input, both agree about the first directive."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teal.transports.local import find_nginx
from teal_host.wire import nginx_words
from teal_host.wire.nginx_words import NotWhole, Word, whole_directive, words

NGINX = find_nginx()
PIECES = [
    "a",
    "b",
    "\\",
    '"',
    "'",
    "$",
    "{",
    "}",
    ";",
    "#",
    " ",
    "\t",
    "\n",
    "\r",
    "(",
    ")",
    "n",
    "${",
    "\f",
    "\u00a0",
    "é",
]


def texts(text: str) -> list[str]:
    return [word.text for word in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b;", ["a", "b", ";"]),
        ("a{b;}", ["a", "{", "b", ";", "}"]),
        ("a b};", ["a", "b}", ";"]),
        ("a b#c; # d;\n", ["a", "b#c", ";"]),
        ("a ${b}c ${d};", ["a", "${b}c", "${d}", ";"]),
        ("a \"b ; { } ' #\" 'c \"';", ["a", "b ; { } ' #", 'c "', ";"]),
        (r"""a "b\"c" b\;c \d "\n\t\\";""", ["a", 'b"c', r"b\;c", r"\d", "\n\t\\", ";"]),
        ('a b"c d"e;', ["a", 'b"c', 'd"e', ";"]),
        ('if (-f "a b"){}', ["if", "(-f", "a b", ")", "{", "}"]),
        ("a b\u00a0c;", ["a", "b\u00a0c", ";"]),
        ("a '';", ["a", "", ";"]),
        (
            "x_by_lua_block { a = {'}', \"}\", [[}]], [=[]}]=]} -- }\n--[[ } ]] }\nb;",
            ["x_by_lua_block", "{", "}", "b", ";"],
        ),
    ],
)
def test_words_are_split_as_nginx_splits_them(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_sign_is_a_word_when_quoted() -> None:
    assert list(words('a ";" "}";')) == [Word("a", 1), Word(";", 1), Word("}", 1), Word(";", 1, True)]


def test_each_word_knows_its_line() -> None:
    text = "a\n  'b\nc' # d\n d\\\ne {\n x_by_lua_block {\n{}\n}\n}"
    assert [word.line for word in words(text)] == [1, 2, 4, 5, 6, 6, 8, 9]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a '", 1), ('\n"\\"', 2), ("a 'b'c;", 1), ("a 'b\n'c;", 2), ("a", 1), ("a b\\", 1), ("x_by_lua_block {\n {}", 1)],
)
def test_text_is_refused_when_nginx_would_not_read_it(text: str, line: int) -> None:
    with pytest.raises(NotWhole) as caught:
        list(words(text))
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "a;",
        "a b;",
        "location /x { deny all; }",
        "a {}",
        "a { b { c; } d {} }",
        "a '}';",
        'a "} server {";',
        "a b}c;",
        "a;\n# } server {",
        "# x\na;",
        "a ${b};",
        'if ($a ~ "^x{2}") { return 403; }',
    ],
)
def test_directive_is_accepted_when_whole(text: str) -> None:
    assert whole_directive(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        ";",
        "}",
        "{",
        "{}",
        "a; b;",
        "a;}",
        "a;;",
        "a {} }",
        "a { b }",
        "a { ; }",
        "a { {} }",
        "a { b; ",
        "a '",
        'a "}" {',
        "} server {",
        "a;} server { listen 1;",
        "a 'b'};",
        "a # ;",
        "a {} b",
        "a { b; } }",
        "a \\;",
        "a { };",
        "a $b{};{",
        "a {} server {} ",
        "# a;",
        "a 'b' 'c'",
        "a \u00a0} server { b;} ;",
    ],
)
def test_text_is_refused_when_it_is_not_one_whole_directive(text: str) -> None:
    assert whole_directive(text)


LUA = re.compile(
    r"""--\[(?P<c>=*)\[.*?\](?P=c)\]|--[^\n]*|\[(?P<s>=*)\[.*?\](?P=s)\]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{}]""",
    re.DOTALL,
)


def end_of_lua(text: str) -> int | None:
    """Where a block of Lua ends, in the plainest way, which takes hours for a text of beginnings."""
    depth = 0
    for brace in LUA.finditer(text):
        if brace.group() == "}" and depth == 0:
            return brace.start()
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
    return None


@given(st.lists(st.sampled_from([*"[]=-\"'{}\\\na", "--", "--[[", "]]", "]=]", "[=["]), max_size=16).map("".join))
@settings(max_examples=300)
def test_block_of_lua_ends_where_its_brace_stands(text: str) -> None:
    expected = end_of_lua(text)
    if expected is None:
        with pytest.raises(NotWhole, match="Lua"):
            nginx_words._end_of_lua(text, 0, 1)
    else:
        assert nginx_words._end_of_lua(text, 0, 1) == expected


@pytest.mark.parametrize("beginning", ["[[", "[=", "--[[\n", '"\\', "'\\", "--[=[\n[["])
def test_lua_of_nothing_but_beginnings_takes_time_in_proportion_to_its_length(beginning: str) -> None:
    """In the tree of 768eec4 one directive of 16,384 characters took a second, and a deploy key may send a thousand."""

    def seconds(times: int) -> float:
        began = time.process_time()
        whole_directive(f"a_by_lua_block {{{beginning * times}}}")
        return time.process_time() - began

    short = min(seconds(5_000) for _ in range(3))
    assert seconds(40_000) < 24 * short + 0.5


@pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")
class TestNginxItself:
    @given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
    @example('"a")b;')
    @example("${{{a;")
    @example("$\\{a;")
    @example('"$"{}')
    @example("a\\\n\n b;")
    @settings(max_examples=300)
    def test_nginx_finds_the_same_first_word(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        self.compare(tmp_path_factory.getbasetemp() / "words.conf", text)

    @given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
    @settings(max_examples=300)
    def test_nginx_finds_the_same_second_word(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        self.compare(tmp_path_factory.getbasetemp() / "words.conf", f"daemon {text}")

    def compare(self, path: Path, text: str) -> None:
        path.write_text(text, newline="")
        argv = [str(NGINX), "-t", "-p", f"{path.parent}/", "-c", str(path), "-e", "stderr"]
        done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
        words = done.stderr.decode(errors="replace")
        assert first_told(text) in words.replace("\r", "?").replace(f" in {path}:", " in :"), (text, words)


def first_told(text: str) -> str:
    """What nginx reports about the first directive, as far as the report depends on the words alone."""
    words_: list[Word] = []
    try:
        for word in words(text):
            if not word.sign:
                words_.append(word)
                continue
            return verdict(words_, word)
    except NotWhole as error:
        glued = "glued" in str(error)
        return 'unexpected "' if glued else "unexpected end of file"
    return "unexpected end of file" if words_ else "[emerg]"


def verdict(words: list[Word], sign: Word) -> str:
    if (sign.text == "}") == bool(words) or not words:
        return f'unexpected "{sign.text}" in :{sign.line}'
    name, *more = (word.text.replace("\r", "?") for word in words)
    if name != "daemon":
        return f'unknown directive "{name}" in :{sign.line}'
    if sign.text == "{":
        return 'directive "daemon" is not terminated by ";"'
    if len(more) != 1:
        return 'invalid number of arguments in "daemon" directive'
    return f'invalid value "{more[0]}" in "daemon" directive'
