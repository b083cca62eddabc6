"""`teal setup` shows what was edited by hand, and `teal destroy` copes with what was removed by hand."""

import shlex
from typing import Any

import pytest

from harness import Server
from harness.world import App
from hints.walk import hint_of, type_in
from server.setup.nginx_state import reload
from server.setup.results import OTHERS, differing, make_public_key, setup_changes


class TestHandEdits:
    FILES = ("etc/systemd/system/teal-shop@.service", "etc/nginx/conf.d/teal-shop.conf", "etc/sudoers.d/teal-shop")

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.row("D14", "D15")
    def test_hand_edit_is_shown_and_not_overwritten_silently(self, shared: Server, app: App, name: str) -> None:
        make_public_key(app.directory)
        app.teal("setup", "--deploy-key", "deploy_key.pub").ok()
        path = shared.root / name
        as_it_should_be = path.read_text()
        path.write_text(as_it_should_be.replace("\n", "\n# by hand\n", 1))
        before = shared.files(ignoring=OTHERS)
        (change,) = app.teal("setup", "--dry-run", "--json").ok().result["changes"]
        assert change["edited"]
        assert "-# by hand" in change["diff"]
        refused = app.teal("setup")
        assert (refused.code, "-# by hand" in refused.err, "--yes" in refused.err) == (2, True, True)
        assert differing(before, shared.files(ignoring=OTHERS)) == []
        app.teal("setup", "--yes").ok()
        assert path.read_text() == as_it_should_be
        path.unlink()
        (change,) = app.teal("setup", "--json").ok().result["changes"]
        assert not change["edited"]
        assert path.read_text() == as_it_should_be
        path.chmod(0o640)
        (change,) = app.teal("setup", "--json").ok().result["changes"]
        assert not change["edited"]
        assert setup_changes(app) == []

    def test_hand_edit_that_nginx_rejects_is_overwritten_only_with_yes(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        path = shared.root / self.FILES[1]
        as_it_should_be = path.read_text()
        path.write_text(as_it_should_be + "oops\n")
        assert "teal-shop.conf:" in app.teal("setup").err
        assert app.teal("setup").code == 2
        app.teal("setup", "--yes").ok()
        assert path.read_text() == as_it_should_be

    def test_file_from_before_setup_is_overwritten_only_with_yes(self, app: App, put: Any) -> None:
        put(self.FILES[0], "[Unit]\n")
        assert app.teal("setup").code == 2
        app.teal("setup", "--yes").ok()

    def test_change_of_teal_toml_is_not_taken_for_a_hand_edit(self, app: App) -> None:
        app.teal("setup").ok()
        app.config(sandbox={"memory_mb": 64}, proxy={"max_body_mb": 1})
        changes = app.teal("setup", "--json").ok().result["changes"]
        assert [change["edited"] for change in changes] == [False] * 3
        assert "+MemoryMax=64M" in changes[0]["diff"]

    @pytest.mark.hint("teal doctor", "nginx does not serve this app as agreed: teal doctor")
    def test_deploy_is_refused_before_the_upload_when_nginx_no_longer_serves_the_app(
        self, shared: Server, app: App
    ) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        (shared.root / self.FILES[1]).unlink()
        reload(shared)
        app.program(version="v2")
        for arguments in ((), ("--dry-run",)):
            refused = app.deploy(*arguments)
            assert (refused.code, refused.result["error"]["exit_code"]) == (3, 3)
            assert refused.result["error"]["message"] == "nginx does not serve shop as setup agreed"
            assert not any(line.get("name") == "upload" for line in refused.lines)
            hint = hint_of(refused.result["error"], "teal doctor")
        (note,) = app.status()["notes"]
        assert note == f"nginx does not serve this app as agreed: {hint}"
        findings = app.teal(*shlex.split(hint)[1:], "--json").result["findings"]
        (cure,) = {hint_of(row, "teal setup") for row in findings if row["state"] == "fault"}
        type_in(app, cure)
        app.deploy().ok()


class TestDestroy:
    def test_app_finds_its_data_again_when_destroy_kept_it(self, shared: Server, app: App) -> None:
        app.config(run={"data": True})
        app.teal("setup").ok()
        app.deploy().ok()
        app.get("/write")
        assert shared.run("systemd-run", "--quiet", "--uid=teal-shop", "sleep", "600").returncode == 0
        app.teal("destroy", "-y", "--keep-data").ok()
        assert shared.run("pgrep", "-u", "teal-shop").returncode != 0
        assert (shared.root / "var/lib/shop/kept").read_text() == "v1\n"
        app.teal("setup").ok()
        app.deploy().ok()
        app.get("/write")
        assert (shared.root / "var/lib/shop/kept").read_text() == "v1\nv1\n"
        app.teal("destroy", "-y").ok()
        assert not (shared.root / "var/lib/shop").exists()

    def test_destroy_works_when_files_were_removed_by_hand(self, shared: Server, app: App) -> None:
        app.teal("setup").ok()
        app.deploy().ok()
        for name in TestHandEdits.FILES[:2]:
            (shared.root / name).unlink()
        app.teal("destroy", "-y").ok()
        assert shared.run("pgrep", "-u", "teal-shop").returncode != 0
        gone = app.teal("destroy", "-y")
        assert (gone.code, "there is no app shop here" in gone.err) == (2, True)
