"""PocketBase, a program of somebody else, on this machine."""

import subprocess
from collections.abc import Sequence

from harness.pocketbase import NEW, OLD, Notes
from harness.world import World


def test_pocketbase_keeps_its_data_over_a_new_version_and_a_rollback(world: World) -> None:
    app = world.app("notes")

    def there(arguments: Sequence[str]) -> None:
        argv = [str(app.directory / "pocketbase"), *arguments, "--dir", str(world.root / "var/lib/notes/db")]
        subprocess.run(argv, cwd=app.directory, check=True, capture_output=True, timeout=120)

    notes = Notes(app, there)
    notes.deploy(OLD)
    assert notes.served() == OLD
    notes.make()
    notes.note("written by the old one")

    notes.deploy(NEW)
    assert notes.served() == NEW
    assert notes.notes() == ["written by the old one"]
    notes.note("written by the new one")

    app.teal("rollback").ok()
    assert notes.served() == OLD
    assert notes.notes() == ["written by the old one", "written by the new one"]

    app.teal("destroy", "-y").ok()
    assert not world.root.exists()
