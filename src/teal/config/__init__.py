"""Reads teal.toml, checks all of it, and returns its values."""

from teal.config.model import Config
from teal.config.read import load

__all__ = ["Config", "load"]
