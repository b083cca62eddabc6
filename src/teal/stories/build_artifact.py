"""The first half of a deploy: build for the machine of the target, while the connection to it is being opened."""

from pathlib import Path

from teal.building import build as builds
from teal.building import known_machines
from teal.building.built import BuiltArtifact, read_built
from teal.building.known_machines import Machine
from teal.config.read import ConfigFile
from teal.ground.errors import BuildFailed
from teal.pipe.pending_session import PendingSession
from teal.stories.reporter import Reporter


def build_artifact(
    file: ConfigFile, artifact: Path | None, pending: PendingSession, reporter: Reporter
) -> BuiltArtifact:
    """Run the build, unless an artifact is given, and read what it made. Raises TealError."""
    if artifact is None and file.config.build.command:
        _build(file, pending, reporter)
    built = read_built(file, artifact)
    reporter.account.artifact_bytes = built.artifact.manifest.bytes
    return built


def _build(file: ConfigFile, pending: PendingSession, reporter: Reporter) -> None:
    """A build that names its machine waits for the greeting, unless the machine is known from an earlier one.

    While the build runs, the client sends `Intended`. The server checks whatever the configuration alone decides, and
    replies only to reject the deploy.
    """
    needs_machine = builds.names_machine(file)
    expected = known_machines.recall(pending.target) if needs_machine else Machine("", "")
    pending.announce(file.config.spec)
    try:
        with reporter.step("build", pending.held_back(reporter.ui.step)):
            builds.build(file, expected or _machine(pending), pending.held_back(reporter.ui.output), pending)
            pending.withdraw()
            if needs_machine and expected and expected != _machine(pending):
                builds.build(file, _machine(pending), reporter.ui.output, pending)
    except BuildFailed as failed:
        pending.show_held_output()
        failed.evidence_is_shown = reporter.ui.shows_output
        raise
    known_machines.remember(pending.target, _machine(pending))


def _machine(pending: PendingSession) -> Machine:
    greeting = pending.session.greeting
    return Machine(greeting.machine, greeting.system)
