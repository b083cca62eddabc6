"""The main file of a trial: the same lines, with the relevant includes written out."""

from pathlib import Path

from teal_host.proxies.nginx.tree import Tree, parse
from teal_host.proxies.nginx.trial import trial_text

MAIN = """\
user www-data;
http {
    include mime.types; include /etc/nginx/conf.d/*.conf;
    include "/etc/nginx/sites-enabled/*";
}
"""
OURS, TRIAL = Path("/etc/nginx/conf.d/teal-shop.conf"), Path("/run/x/trial")
DEFAULT = Path("/etc/nginx/sites-enabled/default")


def tree(*files: str, main: str = MAIN) -> Tree:
    text = "".join(f"# configuration file {file}:\nserver {{ }}\n\n" for file in files)
    return parse(f"# configuration file /etc/nginx/nginx.conf:\n{main}\n{text}")


def tried(*files: str, main: str = MAIN, without: tuple[Path, ...] = ()) -> list[str] | None:
    text = trial_text(tree(*files, main=main), main, {OURS: TRIAL}, without)
    return None if text is None else text.splitlines()


def test_trial_reads_the_new_file_where_nginx_would_read_it() -> None:
    lines = tried("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/z.conf", str(DEFAULT))
    spelt = "include /etc/nginx/conf.d/a.conf; include /run/x/trial; include /etc/nginx/conf.d/z.conf;"
    assert lines == [*MAIN.splitlines()[:2], f"    include mime.types; {spelt}", *MAIN.splitlines()[3:]]


def test_trial_does_not_read_the_old_file_of_the_app() -> None:
    lines = tried(str(OURS))
    assert lines is not None
    assert lines[2] == "    include mime.types; include /run/x/trial;"


def test_trial_does_not_read_a_site_that_gives_way() -> None:
    lines = tried(str(DEFAULT), "/etc/nginx/sites-enabled/other", without=(DEFAULT,))
    assert lines is not None
    assert lines[3] == "    include /etc/nginx/sites-enabled/other;"


def test_trial_is_impossible_when_an_include_is_not_understood() -> None:
    assert tried(main="http { include /etc/nginx/conf.d/*.conf; include /etc/nginx/conf.d/*.conf; }") is None
    assert tried(main="http { include\n/etc/nginx/conf.d/*.conf; }") is None
    nested = tree("/etc/nginx/more.conf", main="http { include more.conf; }")
    assert trial_text(nested, "http { include more.conf; }", {OURS: TRIAL}, ()) is not None  # no include to write out
