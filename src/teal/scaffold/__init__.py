"""`teal init`: looks at a directory, guesses how its program is built and run, and writes that down."""

from teal.scaffold.look import choice, look, programs
from teal.scaffold.project import Choice, Project, UnknownProgramError
from teal.scaffold.render import render

__all__ = ["Choice", "Project", "UnknownProgramError", "choice", "look", "programs", "render"]
