"""The second half of a deploy: one built artifact goes to one target."""

from teal.building.built import BuiltArtifact
from teal.building.compatibility import check_compatibility
from teal.pipe.pending_session import PendingSession
from teal.pipe.session import expect
from teal.sending.upload import Uploader, UploadTarget
from teal.stories.exchange import explain_interruption, receive_answer
from teal.stories.reporter import Reporter
from teal_host.wire.messages import Result
from teal_host.wire.requests import Commit, Deploy
from teal_host.wire.uploads import MissingFiles


def deploy_to_target(request: Deploy, built: BuiltArtifact, pending: PendingSession, reporter: Reporter) -> Result:
    """Raises TealError."""
    upload = Uploader(pending.ungreeted, built.artifact, UploadTarget(pending.target, request.spec.app), reporter.ui)
    upload.prepare_patches(pending.is_readable)
    session = pending.session  # from here on the client waits for the greeting, unless it is there already
    check_compatibility(built.requirements, session.greeting)
    with explain_interruption(session, "deploy") as commitment:
        session.send(request)
        answer = receive_answer(session, reporter, upload)
        while isinstance(answer, MissingFiles):
            commitment.made = False  # the server asks again: an earlier Commit no longer counts
            upload.send(answer)
            session.send(Commit())
            commitment.made = True
            answer = receive_answer(session, reporter, upload)
        return expect(answer, Result)
