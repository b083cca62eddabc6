"""The story of a deploy on the client: connect, build the artifact meanwhile, deploy it to the target."""

import contextlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from teal.building.built import BuiltArtifact
from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.stories.build_artifact import build_artifact
from teal.stories.deploy_to_target import deploy_to_target
from teal.stories.exchange import connecting
from teal.stories.reporter import Reporter
from teal.stories.result_json import Account
from teal.ui.base import Ui
from teal_host.wire.messages import Note, Result
from teal_host.wire.reports import Entrance
from teal_host.wire.requests import Deploy


@dataclass(frozen=True)
class DeployOptions:
    """What the command line says. `wait_s`: how long to wait while another command works on the app. `evict`:
    everything of the app ends first."""

    artifact: Path | None = None
    wait_s: float = 0.0
    dry_run: bool = False
    evict: bool = False


def deploy(file: ConfigFile, options: DeployOptions, ui: Ui, account: Account) -> Result:
    """Raises TealError. The account is filled as far as the deploy went."""
    reporter = Reporter(ui, account)
    with reporter.clock("total"), connecting(file, reporter) as pending:
        built = build_artifact(file, options.artifact, pending, reporter)
        request = _request(file, built, options)
        result = deploy_to_target(request, built, pending, reporter)
    if result.entrance:
        warn_if_closed(file, result.entrance, ui)
    return result


def warn_if_closed(file: ConfigFile, entrance: Entrance, ui: Ui) -> None:
    """The release is live already, so neither a failure nor Ctrl-C changes how the deploy ended."""
    from teal.stories.entrance import check_entrance  # only here: it imports ssl

    with contextlib.suppress(KeyboardInterrupt):
        for finding in check_entrance(file, entrance):
            if finding.state != "ok":
                ui.note(Note("warning", f"{finding.message}; {finding.hint}"))


def _request(file: ConfigFile, built: BuiltArtifact, options: DeployOptions) -> Deploy:
    """A dry run asks no repository: only a release remembers its commit."""
    return Deploy(
        file.config.spec,
        built.artifact.manifest,
        origin(None if options.dry_run else file.directory),
        uuid.uuid4().hex,
        options.wait_s,
        options.dry_run,
        built.requirements.needs,
        options.evict,
    )
