"""Detects the flags of a program. Each pattern matches how one family of libraries defines a flag."""

import re
from collections.abc import Iterable

GO_SETS = r"(?i:\b\w{0,40}flag\w{0,40}(?:\(\))?|\bfs)"  # the receiver decides: slog.Int("port", …) defines no flag
GO_TYPES = r"(?:Int|Int64|Uint|Uint16|Uint64|String|Text|Func)?(?:Var)?P?"
DERIVE = r"#\[(?:arg|clap|structopt|argh|bpaf)\((?:[^\]]{0,200}\W)?(?:long|option)(?!\s*=)\b[^\]]{0,200}\)\]"
BETWEEN = r"\s*(?:#\[[^\]]{0,200}\]\s*|///[^\n]*\n\s*){0,9}(?:pub(?:\([^)]*\))?\s+)?"

PATTERNS = (
    r"(?<![\w-])--NAME(?![\w-])",  # any language, in a string or a help text
    rf'{GO_SETS}\.{GO_TYPES}\(\s*(?:&?[\w.\[\]]+,\s*)?"NAME"',  # flag, pflag, cobra
    r'(?:Int|Uint|String)\w*Flag\{\s*Name:\s*"NAME"',  # urfave/cli
    r'\.Flag\("NAME"',  # kingpin
    r'\blong\s*[=:]\s*"NAME"',  # clap derive, go-flags
    r'\blong\s*(?:\(\s*)?"NAME"',  # clap builder, bpaf, optparse-applicative
    rf"{DERIVE}{BETWEEN}NAME\s*:",  # clap derive, named by the field
    r'\{\s*"NAME"\s*,\s*(?:required_argument|1)\b',  # getopt_long
    r"\b(?:DEFINE_\w+|ABSL_FLAG)\((?:[\w:]+,\s*)?NAME\b",  # gflags, abseil
    r'\bgetopt\([^;]{0,400}?"(?:\w\|)?NAME\b',  # std.getopt of D
    r"@Option(?:\([^)]{0,200}\))?\s+var\s+NAME\b",  # swift-argument-parser
    r'\bof\s+(?:"\w",\s*)?"NAME"',  # std/parseopt of Nim
    r"\bNAME:\s*\{\s*type:\s*[\"']string",  # util.parseArgs
)
PAINT = re.compile(r"(?i)\b(?:auto|always|never|ansi|terminal|colou?r(?:ize|ed|s|choice))\b|:\s*bool\b")
NEARBY = 100


def defines(texts: Iterable[str], name: str) -> bool:
    return any(name in text and _pattern(name).search(text) for text in texts)


def defines_color(texts: Iterable[str]) -> bool:
    """A flag such as `--color auto` colors a terminal; such a flag does not name the color of a release."""
    matches = ((text, match) for text in texts if "color" in text for match in _pattern("color").finditer(text))
    return any(not PAINT.search(text[match.start() : match.end() + NEARBY]) for text, match in matches)


def without_flag(text: str, name: str) -> str:
    """The text without the definitions of this flag."""
    return _pattern(name).sub("", text)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile("|".join(PATTERNS).replace("NAME", re.escape(name)))
