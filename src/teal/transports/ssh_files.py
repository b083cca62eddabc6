"""Where ssh finds its configuration, keys and known hosts: as TEAL_SSH_CONFIG says, else in the home directory."""

import os
import pwd
import shlex
from pathlib import Path

from teal.ground.errors import Usage
from teal_host.wire.values import dataclass

CONFIG = "TEAL_SSH_CONFIG"


@dataclass(frozen=True)
class SshFiles:
    """`config`: the configuration that TEAL_SSH_CONFIG names. `ssh_home`: ssh's home directory, if it is not $HOME.

    ssh takes the home directory from the password file and ignores $HOME, as in a container job of GitHub.
    """

    config: str = ""
    ssh_home: str = ""
    env_home: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        return ("-F", self.config) if self.config else ()

    @property
    def command(self) -> str:
        """As a person would type it."""
        return shlex.join(["ssh", *self.options])

    @property
    def ignores_home(self) -> bool:
        """Does ssh read other files than a person who looks at $HOME would expect?"""
        return bool(self.ssh_home) and not self.config


def ssh_files() -> SshFiles:
    """Raises Usage if TEAL_SSH_CONFIG names no file that can be read. The path begins at the current directory."""
    named = os.environ.get(CONFIG, "")
    config = str(Path(named).absolute()) if named else ""
    if config and not (Path(config).is_file() and os.access(config, os.R_OK)):
        hint = f"unset {CONFIG}, or name another file"
        raise Usage(f"{CONFIG} names {config}, which is no file that can be read here", hint=hint)
    return SshFiles(config, *_other_home())


def _other_home() -> tuple[str, str]:
    """The home directory that ssh uses, and $HOME, where these differ."""
    home = os.environ.get("HOME", "")
    try:
        real = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # then ssh does not even start
        return "", home
    return ("", home) if not home or os.path.realpath(home) == os.path.realpath(real) else (real, home)
