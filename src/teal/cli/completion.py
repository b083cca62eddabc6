"""teal completion"""

import click
from click.shell_completion import get_completion_class

from teal.ground.errors import Usage


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print completion for a shell.

    \b
    bash:  teal completion bash >> ~/.bashrc
    zsh:   teal completion zsh >> ~/.zshrc
    fish:  teal completion fish > ~/.config/fish/completions/teal.fish
    """
    from teal.cli import teal

    completion = get_completion_class(shell)
    if completion is None:
        raise Usage(f"no completion for {shell}")
    click.echo(completion(teal, {}, "teal", "_TEAL_COMPLETE").source())
