"""A virtual machine of multipass on this machine. `multipass exec` is a pipe that may swallow end-of-file both ways."""

from collections.abc import Sequence

from teal.ground.errors import CannotReach
from teal.transports.base import Explanation, Transport, has_a_person

_EXPLANATIONS = (
    Explanation("does not exist", "there is no instance {name}", "multipass list; or: multipass launch --name {name}"),
    Explanation("is deleted", "the instance {name} is deleted", "multipass recover {name} && multipass start {name}"),
    Explanation("is not running", "the instance {name} is not running", "multipass start {name}"),
    Explanation("is suspended", "the instance {name} is not running", "multipass start {name}"),
    Explanation(
        "cannot connect to the multipass socket",
        "multipass itself does not run",
        "is its service running? multipass version",
    ),
)


def multipass(target: str) -> Transport:
    """The default user of an instance may use sudo without a password."""
    name = instance(target)
    return Transport(
        name,
        ("python3", "-I", "-S"),
        ("--server",),
        own_session=not has_a_person(),
        way=("multipass", "exec", name, "--"),
        server=True,
        hint=f"does it run? multipass info {name}",
        explain=lambda code, errors: explain(name, errors),
    )


def login(target: str, command: Sequence[str]) -> list[str]:
    """The argv of a login with the user's own terminal."""
    name = instance(target)
    return ["multipass", "exec", name, "--", *command] if command else ["multipass", "shell", name]


def instance(target: str) -> str:
    return target.removeprefix("multipass://")


def explain(name: str, errors: Sequence[str]) -> CannotReach | None:
    """Why multipass failed, by its words: its exit codes do not distinguish these cases."""
    output = "\n".join(errors)
    for explanation in _EXPLANATIONS:
        if explanation.text in output and "failed" in output:
            return explanation.error(name=name)
    return None
