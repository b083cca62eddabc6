"""The server side is killed before each durable act of `teal env set`."""

import pytest

from crash.scenes import Counted, Run, Scene, at_each_act


@pytest.mark.timeout(300)
def test_secret_is_set_or_unchanged_and_leaves_nothing_behind_when_env_set_is_killed(
    scene: Scene, counted: Counted
) -> None:
    scene.app.teal("env", "set", "A", stdin="0").ok()
    live = [scene.deploy_new()]
    count = 0

    def killed(when: str) -> Run:
        nonlocal count
        run = scene.env_set(when, "A", str(count + 1))
        assert scene.app.get("/env")["A"] == str(count), "what runs is not touched"
        live.append(scene.deploy_new())
        scene.check_settled(live[-1])
        stored = int(scene.app.get("/env")["A"])
        assert stored in (count, count + 1)
        assert run.was_ended or stored == count + 1
        count = stored
        return run

    at_each_act(killed, counted, at_least=2)
