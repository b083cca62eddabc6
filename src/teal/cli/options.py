"""The options that commands share."""

import contextlib
import math
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from teal.ground.errors import Interrupted, TealError, Usage
from teal.ui.base import Manner, manner

if TYPE_CHECKING:
    from pathlib import Path

    from teal.config.read import ConfigFile

_FLAGS = ("json", "quiet", "verbose", "no_color")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class GlobalOptions(NamedTuple):
    """The values of -C, -v, -q, --no-color and --json."""

    config: "Path | None"
    manner: Manner

    @property
    def paints_results(self) -> bool:
        """Colors on standard output: where that is a terminal too."""
        return self.manner.color and (sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR")))

    def load(self) -> "ConfigFile":
        from teal.config import load

        return load(self.config)


def global_options(json: bool = False) -> Decorator:
    """Pass the command its `options: GlobalOptions`. With --json where the command has a result for programs."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(**given: Any) -> Any:  # each decorator below returns it with one more option
            before = click.get_current_context().find_root().params  # `teal -q deploy` is `teal deploy -q`
            flags = [bool(given.pop(name, False) or before.get(name)) for name in _FLAGS]
            config = given.pop("config") or before.get("config")
            options = GlobalOptions(config, manner(*flags)._replace(config=str(config or "")))
            try:
                return function(options, **given)
            except TealError as error:
                error.hint = options.manner.typed(error.hint)
                raise

        call.__doc__ = function.__doc__
        call.__name__ = function.__name__
        for option in reversed([*everywhere(), *([_JSON] if json else [])]):
            option(call)
        call.__click_params__ = call.__click_params__ + getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        return call

    return decorate


class _Seconds(click.FloatRange):
    """click accepts `nan` in any range; this does not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number of seconds", param, ctx) if math.isnan(seconds) else seconds


def wait_option() -> Decorator:
    return click.option(
        "--wait",
        type=_Seconds(0, 86400),
        default=0.0,
        metavar="SECONDS",
        help="Wait up to so many seconds while another command runs.",
    )


def confirm(question: str, yes: bool) -> None:
    """Ask on a terminal; without a terminal, --yes is required. Raises Usage, or Interrupted when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage(f"{question} There is no terminal to ask on", hint="add --yes if you mean it")
    with contextlib.suppress(click.Abort):  # Ctrl-C, or the end of the input
        if click.confirm(question, err=True):
            return
    raise Interrupted("nothing was changed")


def _as_path(context: click.Context, option: click.Parameter, given: str | None) -> "Path | None":
    from pathlib import Path

    return None if given is None else Path(given)


def everywhere() -> list[Decorator]:
    """The options of every command; they may stand before its name or after it."""
    return [
        click.option(
            "-C", "--config", callback=_as_path, metavar="PATH", help="teal.toml, or the directory that has it."
        ),
        click.option("-v", "--verbose", is_flag=True, help="Show more: the build's output."),
        click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only."),
        click.option("--no-color", is_flag=True, help="No colors (also: NO_COLOR)."),
    ]


_JSON = click.option("--json", "json", is_flag=True, help="JSON on standard output.")
