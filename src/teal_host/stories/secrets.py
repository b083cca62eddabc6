"""The stories of `teal env`: set, unset and list. What is set takes effect with the next deploy, and only then."""

from typing import Optional

from teal_host.ground import lock
from teal_host.ground.errors import BadRequest, NotThere
from teal_host.ground.journal import now
from teal_host.pipe.channel import Channel
from teal_host.state import agreement, releases, secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.secrets import StoredSecrets
from teal_host.state.slots import read_slots
from teal_host.wire.grammar import env_value
from teal_host.wire.messages import Done
from teal_host.wire.reports import EnvReport, EnvRow
from teal_host.wire.requests import EnvSet, EnvUnset, Input
from teal_host.wire.upward import moment

_NEXT = "takes effect with the next: teal deploy"


def set_secret(app: App, request: EnvSet, channel: Channel) -> Done:
    """Raises BadRequest for a value that cannot be one, without repeating it."""
    value = _value(request.name, channel)
    with lock.of_app(app.paths, f"env set {request.name}", request.origin, request.wait_s):
        agreement.renew_format(app.paths)
        stored = secrets.load(app.paths)
        if stored.values.get(request.name) == value:
            return Done(f"{request.name} has this value already; nothing was changed")
        channel.committed = True
        _warn_of_run_env(app, request.name)
        changed = secrets.with_value(stored, request.name, value, now())
        secrets.check_size(changed)
        secrets.save(app.paths, changed)
    return Done(f"{request.name} is set{'' if value else ', to nothing'}; it {_NEXT}")


def unset_secret(app: App, request: EnvUnset, channel: Channel) -> Done:
    """Raises NotThere, with the names that there are."""
    _check_is_set(secrets.load(app.paths), request.name)
    with lock.of_app(app.paths, f"env unset {request.name}", request.origin, request.wait_s):
        agreement.renew_format(app.paths)
        stored = secrets.load(app.paths)
        _check_is_set(stored, request.name)
        channel.committed = True
        secrets.save(app.paths, secrets.without(stored, request.name))
    return Done(f"{request.name} is no longer set; that {_NEXT}")


def list_secrets(app: App) -> EnvReport:
    """Every name and since when it has its value; never the value."""
    stored, live = secrets.load(app.paths), _live(app)
    running = stored.versions.get(live.secrets, {}) if live else {}
    rows = [
        EnvRow(name, _since(stored, name), name in running and running[name] == value)
        for name, value in sorted(stored.values.items())
    ]
    return EnvReport(app.name, tuple(rows), pending=stored.current != (live.secrets if live else ""))


def _since(stored: StoredSecrets, name: str) -> str:
    """A time that is none, as after an edit by hand, is only shown, so it stands in the way of nothing."""
    return stored.since[name] if moment(stored.since[name]) is None else "1970-01-01T00:00:00+00:00"


def _value(name: str, channel: Channel) -> str:
    message, body = channel.receive_with_body(Input)
    try:
        value = body.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the value of {name} must be valid Unicode") from None
    complaint = env_value(value) if message.last else "is longer than 32,768 bytes"
    if complaint:
        raise BadRequest(f"the value of {name} {complaint}")
    return value


def _check_is_set(stored: StoredSecrets, name: str) -> None:
    if name not in stored.values:
        names = ", ".join(sorted(stored.values))
        raise NotThere(
            f"{name} is not set", [f"there are: {names}" if names else "nothing is set"], "see: teal env list"
        )


def _warn_of_run_env(app: App, name: str) -> None:
    """A warning only: a name that moves from teal.toml to `teal env` has to be set before the deploy that moves it."""
    live = _live(app)
    if live and name in live.spec.run.env:
        app.warn(f"the live release has {name} in [run] env; the next deploy is refused if teal.toml still has it")


def _live(app: App) -> Optional[Record]:
    live = read_slots(app.paths).live_release  # first: what is live has its record
    return releases.find(releases.load(app.paths), live)
