"""The client of Teal: what a developer installs and types."""

__version__ = "0.1.0"
