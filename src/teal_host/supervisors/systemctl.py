"""What systemd has of its units, as properties: never its prose, which a decision must not hang on."""

from typing import Dict, Sequence

from teal_host.ground.run import run

_ASK_S = 8.0


def properties(unit: str, names: Sequence[str]) -> Dict[str, str]:
    """Without a unit: of the manager itself."""
    output = run(["systemctl", "show", *([unit] if unit else []), f"--property={','.join(names)}"], _ASK_S)
    return dict(line.split("=", 1) for line in output.lines if "=" in line)
