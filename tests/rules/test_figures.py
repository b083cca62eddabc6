"""The command that measures the structure of the source, on a small source whose figures are known."""

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
SOURCE = {
    "teal/__init__.py": '"""The client."""\n',
    "teal/main.py": "from teal.ui import plain\nfrom teal_host import wire\n\n\nclass Plan:\n    pass\n",
    "teal/ui/plain.py": "def show() -> None:\n    from teal.ui import live\n",
    "teal/ui/live.py": "import teal.ui.plain\n\n\ndef show(a, b, c, d, e):\n    return (\n        a\n    )\n",
    "teal_host/wire.py": "class Plan:\n    pass\n",
}


def test_figures_are_those_of_a_small_source(tmp_path: Path) -> None:
    for name, text in SOURCE.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    argv = [sys.executable, str(REPO / "tools/figures"), "--tree", str(tmp_path)]
    page = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    rows = {row[:28].strip(): row[28:].split() for row in page.splitlines()}
    assert rows["modules"] == ["1", "3", "4"]  # server side, client, both sides
    assert rows["most modules in one folder"] == ["1", "2", "2"]
    assert rows["rooms"] == ["1", "2", "3"]
    assert rows["floors of modules"] == ["1", "2", "2"]  # a circle is one floor
    assert rows["arrows between modules"] == ["0", "3", "4"]
    assert rows["arrows between folders"] == ["0", "1", "2"]
    assert rows["circles of modules"] == ["0", "1", "1"]
    assert rows["lines of a function, most"] == ["0", "4", "4"]
    assert rows["functions over 4 parameters"] == ["0", "1", "1"]
    assert rows["class names for two classes"] == ["0", "0", "1"]
    assert "circles of modules:\n  teal.ui.live teal.ui.plain\n" in page
    assert "functions over 4 parameters:\n  src/teal/ui/live.py:4 show 5\n" in page
