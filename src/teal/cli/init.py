"""teal init"""

import sys
from pathlib import Path

import click

from teal.cli.options import GlobalOptions, confirm, global_options
from teal.config.read import NAME
from teal.ground import files
from teal.ground.errors import Usage
from teal.scaffold import UnknownProgramError, detect, program_names, render
from teal.ui.base import shown

_MOST_IGNORED = 1024 * 1024  # bytes of a .gitignore


@click.command("init")
@global_options()
@click.option("--program", metavar="NAME", help="Which program, when the project has several.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite an existing teal.toml.")
def command(options: GlobalOptions, program: str | None, yes: bool) -> None:
    """Read this directory (go.mod, Cargo.toml and others) and write a commented teal.toml."""
    path = _path(options.config)
    directory = path.parent
    if path.exists():
        confirm(f"{path} exists already. Overwrite it?", yes)
    try:
        project = detect(directory, program or _chosen(directory))
    except UnknownProgramError as error:
        raise Usage(f'there is no program "{error.program}" here', [f"there are: {', '.join(error.known)}"]) from None
    files.write(path, render(project))
    click.echo(f"wrote {path}")
    for note in project.notes:
        click.echo(f"  {shown(note)}", err=True)
    if project.build and not _is_ignored(directory, project.artifact):
        made = f"the build makes {project.artifact}: put {_top(project.artifact)} into .gitignore"
        click.echo(f"  {shown(made)}", err=True)
    click.echo("next: check it, then teal deploy (on a server: teal setup first)", err=True)


def _top(artifact: str) -> str:
    """The directory that the build makes, or the one file."""
    first, *rest = Path(artifact).parts
    return f"{first}/" if rest else first


def _is_ignored(directory: Path, artifact: str) -> bool:
    """By the .gitignore of the project alone."""
    try:
        lines = files.read_beginning(directory / ".gitignore", _MOST_IGNORED).decode(errors="replace").splitlines()
    except OSError:
        return False
    return _top(artifact).strip("/") in {line.strip().strip("/") for line in lines}


def _path(config_path: Path | None) -> Path:
    """The file to write: teal.toml in the directory that is named, or the .toml file that is named."""
    path = Path.cwd() if config_path is None else config_path.absolute()
    path = path if path.suffix == ".toml" and not path.is_dir() else path / NAME
    if not path.parent.is_dir():
        raise Usage(f"there is no directory {path.parent}")
    return path


def _chosen(directory: Path) -> str | None:
    """With several programs: ask on a terminal, else take the best guess and report that."""
    names = program_names(directory)
    if len(names) < 2:
        return None
    if sys.stdin.isatty():
        answer = click.prompt("Which program?", type=click.Choice(names), default=names[0], err=True)
        return str(answer)
    others = ", ".join(names[1:])
    click.echo(shown(f"took {names[0]}; there are also: {others} (--program NAME)"), err=True)
    return names[0]
