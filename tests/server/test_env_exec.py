"""`teal env` and `teal exec` on a server: root stores the values, the app's user runs the command, nobody else sees
either.
"""

import json
from collections.abc import Iterator

import pytest

import harness
from harness import Server
from harness.background import in_background
from harness.memory import peak_so_far
from harness.ssh_access import one_login
from harness.world import App, at_server, wait_until

CANARY = "S3CR3T-5c7e"


@pytest.fixture(scope="module")
def server(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("server"), packages=["nginx", "sudo"]) as booted:
        yield booted


@pytest.fixture(scope="module")
def app(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that was deployed twice, with one value and then with another."""
    with one_login(server) as config:
        app = at_server(tmp_path_factory.mktemp("home"), server, config).app("shop")
        app.config(run={"data": True, "env": {"MODE": "fast"}}, keep={"watch_s": 0, "drain_s": 0})
        refused = app.teal("env", "set", "TOKEN", stdin="too early")
        assert (refused.code, "teal setup" in refused.err) == (3, True)
        app.teal("setup", "-y", deadline_s=300).ok()
        for value in (f"{CANARY}-1", f"{CANARY}-2"):
            app.teal("env", "set", "TOKEN", stdin=value).ok()
            app.deploy().ok()
        yield app


def test_exec_runs_as_the_user_of_the_app_in_its_release(server: Server, app: App) -> None:
    done = app.teal(
        "exec", "--", "sh", "-c", 'id -un; pwd; umask; echo "$HOME $USER $MODE $TOKEN ${PORT-no port}"; exit 7'
    )
    user, where, umask, environment = done.out.splitlines()
    assert (done.code, done.err) == (7, "")
    assert user == app.teal("exec", "--", "stat", "-c", "%U", "/var/lib/shop").ok().out.strip() != "root"
    assert where == f"/var/lib/teal/shop/releases/{app.get()['release']}"
    assert umask == "0077"
    assert environment.split(" ", 2)[1:] == [user, f"fast {CANARY}-2 no port"]


def test_exec_writes_the_data_of_the_app_and_reaches_no_file_of_teal(app: App) -> None:
    made = app.teal(
        "exec", "--", "sh", "-c", 'echo kept > "$DATA_DIR/kept"; stat -c %a "$DATA_DIR/kept"; echo e > /dev/stderr'
    )
    assert (made.code, made.out, made.err) == (0, "600\n", "e\n")
    for path in ("/etc/teal/shop/secrets", "/var/lib/teal/shop/green/start.json", "/var/lib/teal/shop/records/."):
        assert app.teal("exec", "--", "ls", "-l", path).code in (0, 2)
        denied = app.teal("exec", "--", "cat", path)
        assert (denied.code, denied.out) == (1, "")
    assert app.teal("exec", "--", "sh", "-c", "touch ./x; touch /var/lib/teal/shop/live/x").code == 1


def test_exec_ends_the_command_when_the_client_is_killed(server: Server, app: App) -> None:
    def runs() -> bool:
        return "sleep 4242" in server.run("ps", "-eo", "args").stdout.splitlines()

    with in_background(app, "exec", "--", "sleep", "4242") as running:
        wait_until(runs)
        assert running.process.poll() is None
    wait_until(lambda: not runs())


def test_secret_is_in_files_of_root_alone_and_in_no_output_of_the_system(server: Server, app: App) -> None:
    where = ("/etc", "/var", "/run", "/usr/local", "/tmp", "/root")
    files = server.run("grep", "-rl", "--devices=skip", CANARY, *where).stdout.split()
    assert {path.rsplit("/", 1)[1] for path in files} <= {"secrets", "start.json", "start"}
    assert "/etc/teal/shop/secrets" in files
    for path in files:
        mode, owner = server.run("stat", "-c", "%a %U", path).stdout.split()
        assert (int(mode, 8) & 0o077, owner) == (0, "root") or path.startswith("/run/credentials/"), path
    for command in (
        ("systemctl", "show", "teal-shop@green"),
        ("systemctl", "cat", "teal-shop@green"),
        ("journalctl", "--no-pager"),
        ("ps", "-eo", "args"),
    ):
        output = server.run(*command).stdout
        assert output
        assert CANARY not in output


def test_rollback_restores_the_secret_of_the_release(app: App) -> None:
    app.teal("rollback").ok()
    assert app.get("/env")["TOKEN"] == f"{CANARY}-1"
    assert app.teal("exec", "--", "printenv", "TOKEN").ok().out == f"{CANARY}-1\n"


# --- what a build reads while it runs, and what both colors wrote -----------------------------------------------------


def test_agreement_mismatch_ends_the_build_and_is_named_with_both_values(app: App) -> None:
    never_ends = {"command": ["sleep", "600"]}
    text = (app.directory / "teal.toml").read_text()
    app.config(build=never_ends, server={"domains": ["shop.test"]}, proxy={"max_body_mb": 7})
    refused = app.deploy()
    (app.directory / "teal.toml").write_text(text)
    assert (refused.code, refused.result["outcome"]) == (3, "refused")
    error = refused.result["error"]
    assert error["message"].endswith("not as agreed with this server: [server] domains, [proxy] max_body_mb")
    assert error["evidence"] == [
        '[server] domains: agreed none, in teal.toml ["shop.test"]',
        "[proxy] max_body_mb: agreed 100, in teal.toml 7",
    ]
    assert error["hint"].startswith("teal setup")
    forgotten = app.world.app("other", build=never_ends).teal("deploy")
    assert (forgotten.code, "not set up for other" in forgotten.err, "teal setup" in forgotten.err) == (3, True, True)


def test_logs_merge_the_last_lines_of_both_colors_by_time(app: App) -> None:
    for version in ("older", "newer"):
        app.program(version=version)
        app.deploy().ok()
    app.teal("rollback").ok()  # the live program wrote its lines first

    def last(count: int) -> list[tuple[str, str]]:
        lines = app.teal("logs", "-n", str(count), "--json").ok().result["lines"]
        return [(line["color"], line["text"].split(" starts")[0]) for line in lines]

    live = app.status()["live"]
    standby = "green" if live == "blue" else "blue"
    assert last(1) == [(standby, "version newer")]
    assert last(2) == [(live, "version older"), (standby, "version newer")]


@pytest.mark.row("F18")
def test_logs_take_no_more_memory_for_many_lines_of_the_system_log(server: Server, app: App) -> None:
    """10 MB of log, and a process of 20 MB."""
    app.program(version="loud", shouts=[5_000, 2_000])
    app.deploy().ok()
    following = app.world.start("logs", "-n", "5000", "-f", "--json", cwd=app.directory)
    try:
        output = following.stdout
        assert output is not None
        numbers = [int(json.loads(output.readline())["text"]) for _ in range(5_000)]
        statuses = server.run(
            "sh", "-c", "for pid in $(pgrep -u root -x python3); do cat /proc/$pid/status; done"
        ).stdout
        peaks = [peak_so_far(status) for status in statuses.split("Name:")[1:]]
    finally:
        following.kill()
        following.communicate()
    assert numbers == list(range(5_000))
    assert 0 < max(peaks) < 48 * 1024
