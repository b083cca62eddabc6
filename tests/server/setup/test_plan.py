"""`teal setup` does what its plan says, once, and completes what a kill has interrupted."""

import io
import json
import re
import shutil
from typing import Any

from harness import Server
from harness.world import REPO, App, World
from server.setup.nginx_state import nginx
from server.setup.results import OTHERS, differing, make_public_key, setup_changes, setup_result
from teal_host.wire.app import AppSpec, Health, Keep, Run, Site, Verify
from teal_host.wire.frames import write_frame
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import to_header
from teal_host.wire.requests import Commit, Destroy, Setup

EVERY = "5"  # setup is killed at every fifth act, to save time; odd rounds are set up again, even rounds are not
FIRST = {12: "1", 13: "3"}  # so that both Debians together take more acts


def test_setup_does_exactly_what_its_plan_says_and_does_it_once(shared: Server, app: App) -> None:
    before = shared.files(ignoring=OTHERS)
    would = setup_changes(app, "--dry-run")
    assert differing(before, shared.files(ignoring=OTHERS)) == []
    assert setup_changes(app) == would
    after = shared.files(ignoring=OTHERS)
    again = app.teal("setup").ok()
    assert again.out == "shop is set up already; nothing to do\n"
    assert differing(after, shared.files(ignoring=OTHERS)) == []
    assert setup_changes(app) == []


def test_plan_shows_the_text_of_new_files_and_never_the_token_of_the_probe(shared: Server, app: App) -> None:
    shown = app.teal("setup", "--dry-run", "-v").ok().err
    plan = setup_result(app.teal("setup", "--dry-run", "--json").ok())["changes"]
    assert not any("      " in line for line in app.teal("setup", "--dry-run").ok().err.splitlines())
    app.teal("setup").ok()
    token = json.loads((shared.root / "etc/teal/shop/app.json").read_text())["token"]
    unit = (shared.root / "etc/systemd/system/teal-shop@.service").read_text().splitlines()
    site = (shared.root / "etc/nginx/conf.d/teal-shop.conf").read_text()
    texts = [change["text"] for change in plan if change["text"]]
    recovery = (shared.root / "etc/systemd/system/teal-shop-recover.service").read_text().splitlines()
    assert unit in texts
    assert recovery in texts
    ports = ["etc/teal/shop/ports.nft", "etc/systemd/system/teal-shop-ports.service"]
    ports += [f"etc/systemd/system/teal-shop@{color}.service.d/ports.conf" for color in ("blue", "green")]
    own = [unit, recovery, *((shared.root / path).read_text().splitlines() for path in ports)]
    (route,) = [text for text in texts if text not in own]
    spoken = site.replace(token, "(token)").splitlines()
    masked = re.compile(r"\((generation|question|answer)\)")
    assert [(a, b) for a, b in zip(spoken, route, strict=True) if a != b and not masked.search(b)] == []
    assert all(f"      {line}" in shown.splitlines() for line in (*unit, *route) if line)
    assert not re.search("[0-9a-f]{32}", shown + json.dumps(plan))


def test_setup_reloads_nginx_once_and_no_other_command_reloads_it(shared: Server, app: App) -> None:
    master, workers = nginx(shared)
    app.teal("setup").ok()
    journal = shared.run("journalctl", "--no-pager", "-u", "nginx", "-o", "cat")
    set_up = nginx(shared)
    assert (set_up[0], set_up[1] & workers) == (master, frozenset()), journal.stdout
    app.deploy().ok()
    app.program(version="v2")
    app.deploy().ok()
    app.teal("rollback").ok()
    app.teal("setup").ok()
    assert nginx(shared) == set_up


def test_setup_killed_at_any_act_is_completed_by_the_next_setup(shared: Server, world: World) -> None:
    """The next setup completes a killed one, and destroy removes a half one; nginx never holds what it would refuse."""
    place = shared.root / "root/killed"
    shutil.copytree(REPO / "src/teal_host", place / "teal_host")
    for script in ("server/killed_setup.py", "harness/listing.py"):
        shutil.copy(REPO / "tests" / script, place)
    key = make_public_key(world.home)
    who = Origin("ada", "laptop")
    spec = AppSpec("shop", Site(), Run(("./shop",)), Health(), Verify(), Keep())
    messages = [framed(message).hex() for message in (Setup(spec, who, key), Commit(), Destroy("shop", who))]
    try:
        ran = shared.run(
            "python3", "/root/killed/killed_setup.py", *messages, FIRST[shared.debian], EVERY, deadline_s=500
        )
    finally:
        shutil.rmtree(place)
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert not ran.stderr
    bad = [attempt for attempt in rounds if attempt["left"] or not (attempt["nginx"] and attempt["nginx after"])]
    assert not bad, json.dumps(bad, indent=1)
    assert (len(rounds) > 10, rounds[-1]["killed"]) == (True, "")


def framed(message: Any) -> bytes:
    whole = io.BytesIO()
    write_frame(whole, to_header(message))
    return whole.getvalue()
