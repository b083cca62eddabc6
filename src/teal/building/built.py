"""A built artifact with all that a deploy has to know of it. It names no server, so it can go to several."""

from dataclasses import dataclass
from pathlib import Path

from teal.building import artifact as artifacts
from teal.building.artifact import Artifact
from teal.building.requirements import Requirements, read_requirements
from teal.config.read import ConfigFile


@dataclass(frozen=True)
class BuiltArtifact:
    """`requirements` is what the artifact needs of a server."""

    artifact: Artifact
    requirements: Requirements


def read_built(file: ConfigFile, path: Path | None) -> BuiltArtifact:
    """The artifact at the path, or that of teal.toml. Raises ConfigError for one that no server can run."""
    artifact = artifacts.find(file, path)
    requirements = read_requirements(file.config.run.command, artifact)
    return BuiltArtifact(artifact, requirements)
