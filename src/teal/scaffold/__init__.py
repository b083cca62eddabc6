"""`teal init`: reads a directory, infers how the program is built and run, and writes a first teal.toml."""

from teal.scaffold.detect import detect, program_names
from teal.scaffold.project import Project, UnknownProgramError
from teal.scaffold.render import render

__all__ = ["Project", "UnknownProgramError", "detect", "program_names", "render"]
