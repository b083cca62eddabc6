"""Writes a project as the text of a first teal.toml."""

from importlib.resources import files
from string import Template

from teal.scaffold.project import Project
from teal.scaffold.toml import array, inline_table, string

COMMENT_COLUMN = 44
NO_BUILD = 'command = ["make"]'
NO_ENV = 'env = { CC = "clang" }'
DATA = "data = true"
VERIFY = "/status"
COLOR = 'json = { color = "{color}" }'


def render(project: Project) -> str:
    template = Template(files("teal.scaffold").joinpath("teal.toml.template").read_text("utf-8"))
    return template.substitute(_values(project))


def _values(project: Project) -> dict[str, str]:
    build, env, verify = project.build, project.build_env, project.verify_path
    return {
        "app": string(project.app),
        "build": f"command = {array(build)}" if build else _commented_out(NO_BUILD, "left out: Teal builds nothing"),
        "build_env": f"env = {inline_table(env)}" if env else _commented_out(NO_ENV, "added to your environment"),
        "artifact": string(project.artifact),
        "command": array(project.command),
        "data": _line(project.data, DATA, "a directory that all releases share, in DATA_DIR"),
        "health_path": string(project.health_path),
        "verify_path": f"path = {string(verify)}" if verify else _commented_out(f"path = {string(VERIFY)}"),
        "verify_json": _line(bool(verify), COLOR, "the answer must name the new color"),
    }


def _line(active: bool, text: str, comment: str) -> str:
    return f"{text:{COMMENT_COLUMN}}# {comment}" if active else _commented_out(text, comment)


def _commented_out(text: str, comment: str = "") -> str:
    return f"{'# ' + text:{COMMENT_COLUMN}}# {comment}" if comment else f"# {text}"
