"""What one module alone knows: named a second time, it would some day be changed in one of the two places."""

import ast

from rules.source import MODULES, Module

COLOR_NAMES = {
    "teal_host.wire.grammar",  # the list itself
    "teal_host.wire.app",  # Ports: the two keys of teal.toml
    "teal.ui.base",  # what each looks like
    "teal_host.proxies.nginx.server",  # the default and the marker
}


def _texts(module: Module) -> set[str]:
    """The text constants of a module."""
    nodes = (node for node in ast.walk(module.tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def test_colors_are_named_in_one_list() -> None:
    named = {name for name, module in MODULES.items() if _texts(module) & {"blue", "green"}}
    assert named <= COLOR_NAMES, "take COLORS, other_color, Ports.by_color or AppPaths.colors"


def test_system_python_is_named_in_one_module() -> None:
    named = {name for name, module in MODULES.items() if any("/usr/bin/python3" in text for text in _texts(module))}
    assert named == {"teal_host.wire.sources"}


def test_systemctl_is_run_by_one_module() -> None:
    """It alone knows how long systemd may not answer."""
    named = {name for name, module in MODULES.items() if "systemctl" in _texts(module)}
    assert named == {"teal_host.ground.systemctl"}


def test_git_is_run_by_one_module() -> None:
    """It alone knows what a repository could make git run."""
    named = {name for name, module in MODULES.items() if "git" in _texts(module)}
    assert named == {"teal.ground.git"}


def test_process_is_signalled_through_a_pidfd_alone() -> None:
    """A number read from a file or from /proc may be another process's by then. A child that was not waited for keeps
    its number, so its group may be signalled.
    """
    calls = {
        (name, node.attr)
        for name, module in MODULES.items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in ("kill", "killpg", "pidfd_send_signal")
        if isinstance(node.value, ast.Name) and node.value.id in ("os", "signal")
    }
    assert calls == {("teal_host.ground.run", "killpg"), ("teal_host.ground.run", "pidfd_send_signal")}
