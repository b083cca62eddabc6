"""`teal init`: looks at a directory, guesses how its program is built and run, and writes that down."""

from teal.scaffold.detect import choice, detect, programs
from teal.scaffold.project import Choice, Project, UnknownProgramError
from teal.scaffold.render import render

__all__ = ["Choice", "Project", "UnknownProgramError", "choice", "detect", "programs", "render"]
