"""teal.toml: read it, check it whole, give it as values."""

from teal.config.model import Config
from teal.config.read import load

__all__ = ["Config", "load"]
