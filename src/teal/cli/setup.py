"""teal setup"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from teal.cli.options import GlobalOptions, confirm, global_options, wait_option
from teal.ground.errors import ConfigError, TealError, Usage
from teal.stories.result_json import as_json
from teal.stories.setup import HOW_OF_CA, SetupOptions, setup
from teal.ui import choose
from teal.ui.base import Ui, shown
from teal.ui.columns import columns, wrapped
from teal.ui.jsonlines import as_contract, emit
from teal_host.wire.grammar import KEY_WORDS, MOST_PRINCIPALS, KeyWord, principal
from teal_host.wire.messages import Plan
from teal_host.wire.reports import HttpsReport
from teal_host.wire.typed import encode


@click.command("setup")
@global_options(json=True)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option(
    "--deploy-key",
    type=click.Path(path_type=Path),
    metavar="FILE.pub",
    help="Let this key deploy this app, and nothing else.",
)
@click.option(
    "--deploy-ca",
    type=click.Path(path_type=Path),
    metavar="FILE.pub",
    help="Let certificates that this CA signs for a --principal deploy this app, and nothing else.",
)
@click.option("--principal", "principals", metavar="P", multiple=True, help="With --deploy-ca; repeatable, or P,Q.")
@click.option(
    "--may",
    metavar="WORDS",
    default="",
    help="What the deploy key or the CA is for, such as status,logs; without it, all of: " + ", ".join(KEY_WORDS) + ".",
)
@click.option(
    "--remove-key",
    "revoked_key",
    metavar="FILE.pub|FINGERPRINT",
    help="Revoke this key: it may no longer deploy this app.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before manual edits or a newer server side go.")
@wait_option()
def command(options: GlobalOptions, yes: bool, wait: float, **given: Any) -> None:
    """Prepare a Debian or Ubuntu server for this app. Repeating it changes nothing.

    Packages, a user, directories, a unit, one nginx file: only what is missing or differs from teal.toml. Asks before
    it overwrites manual edits.
    """
    ui = choose(options.manner)
    new_key = given["deploy_key"] or given["deploy_ca"]
    result = _SetupResult(given["dry_run"], revoked=None if new_key else given["revoked_key"])
    try:
        file = options.load()
        result.app = file.config.app
        words = _words(given.pop("may"), new_key)
        names = _principals(given.pop("principals"), given["deploy_key"], given["deploy_ca"])
        setup_options = SetupOptions(**given, may=words, principals=names, wait_s=wait)
        end = setup(file, setup_options, ui, lambda plan: _confirm(options, result, plan, yes))
        result.plan, result.https = end.plan, end.https
    except TealError as error:
        ui.close()
        error.hint = options.manner.typed(error.hint)
        if options.manner.json:
            emit({**result.as_json(), "error": as_json(error)})
        raise
    _end(options, result, ui)


def _words(text: str, key: Path | None) -> tuple[KeyWord, ...]:
    """Raises Usage for a word that no key can be for, and without a key."""
    if text and key is None:
        raise Usage(
            "--may says what a key is for, and there is no key", hint="teal setup --deploy-key FILE.pub --may status"
        )
    given = [word.strip() for word in text.split(",")] if text else []
    unknown = next((word for word in given if word not in KEY_WORDS), None)
    if unknown is not None:
        raise Usage(f"--may: a key cannot be for {unknown[:40]!r}", hint=f"choose among {', '.join(KEY_WORDS)}")
    return tuple(word for word in KEY_WORDS if word in given)


def _principals(given: Sequence[str], key: Path | None, ca: Path | None) -> tuple[str, ...]:
    """Raises Usage, or ConfigError for a name that no certificate is let in for."""
    if key and ca:
        raise Usage("--deploy-key and --deploy-ca let in one key each", hint="one after the other")
    if bool(given) != bool(ca):
        lack = (
            "no --principal, so it would let in every certificate"
            if ca
            else "no --deploy-ca whose certificates have it"
        )
        raise ConfigError(f"there is {lack}", hint=HOW_OF_CA)
    names = [name.strip() for text in given for name in text.split(",")]
    complaint = next(filter(None, map(principal, names)), None)
    if len({*names}) > MOST_PRINCIPALS:
        complaint = f"sshd reads the first {MOST_PRINCIPALS} of a CA's principals, and these are {len({*names})}"
    if complaint:
        raise ConfigError(f"--principal: {complaint}", hint=HOW_OF_CA)
    return tuple(sorted({*names}))


@dataclass
class _SetupResult:
    """What is known of this setup, however it ends."""

    dry_run: bool
    app: str | None = None
    plan: Plan = field(default_factory=lambda: Plan(()))
    revoked: str | None = None  # the key, as it was typed, if setup does nothing else
    https: HttpsReport | None = None  # None: not known

    def as_json(self) -> dict[str, object]:
        return {
            "type": "result",
            "schema": 1,
            "app": self.app,
            "dry_run": self.dry_run,
            **as_contract(encode(self.plan)),
            "https": encode(self.https) if self.https else None,
        }

    def last_line(self) -> str:
        changes = len(self.plan.changes)
        if not changes:
            return f"{self.app} is set up already; nothing to do"
        if self.dry_run:
            return f"{changes} change{'' if changes == 1 else 's'} to make; nothing was changed"
        if self.revoked:
            return f"the key {shown(self.revoked)} may no longer deploy {self.app}"
        return f"{self.app} is set up; next: teal deploy"


def _confirm(options: GlobalOptions, result: _SetupResult, plan: Plan, yes: bool) -> None:
    """Show the plan if the user has to decide; else each change is shown when it is made. Raises for a no."""
    result.plan = plan
    questions = _questions(result.app, plan)
    if questions:
        _show(options, plan)
    for question in questions:
        confirm(question, yes)


def _questions(app: str | None, plan: Plan) -> list[str]:
    lost = [name for change in plan.changes for name in change.unserves]
    edited = any(change.edited for change in plan.changes)
    names = f"{app} is live as {', '.join(lost)} now, and would no longer be. Is this the teal.toml of that project?"
    older = any(change.downgrades for change in plan.changes)
    downgrade = "Replace the server side of a newer Teal by that of this older one?"
    return [names] * bool(lost) + ["Overwrite what was edited by hand?"] * edited + [downgrade] * older


def _end(options: GlobalOptions, result: _SetupResult, ui: Ui) -> None:
    ui.close()
    if options.manner.json:
        emit(result.as_json())
        return
    if result.dry_run:
        _show(options, result.plan)
    if not options.manner.quiet:
        click.echo(options.manner.typed(result.last_line()))
        if result.https and result.https.state == "pending":
            click.echo(options.manner.typed(f"https: not yet: {shown(result.https.why)}; again: teal setup"))


def _show(options: GlobalOptions, plan: Plan) -> None:
    if options.manner.json or not plan.changes:
        return
    lines, width = ["setup would:"], columns(sys.stderr)
    for change in plan.changes:
        lines += wrapped(shown(change.message), width, head="  - ")
        text = change.text if options.manner.verbose else ()
        for line in (*text, *(change.diff if change.edited or options.manner.verbose else ())):
            lines += wrapped(shown(line), width, " " * 10, " " * 6)
    click.echo("\n".join(lines), err=True)
