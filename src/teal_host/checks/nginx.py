"""The machine's nginx: is it there, new enough, running, started at boot, and would it take its own configuration?"""

import re
from dataclasses import dataclass
from typing import Collection, Iterator, Optional

from teal_host.checks.base import PROGRAM_S, Visit, fault, ok, there, warning
from teal_host.ground.run import run
from teal_host.proxies.local_nginx import OLDEST
from teal_host.proxies.nginx import program as nginx_program
from teal_host.state import footprint
from teal_host.supervisors.systemctl import properties
from teal_host.wire.reports import Finding


@dataclass(frozen=True)
class Seen:
    """`says` is what `nginx -v` printed, `refusal` why it would not take its files, `at_boot` systemd's word."""

    says: str
    runs: bool
    refusal: Optional[str]
    at_boot: str


def check(visit: Visit) -> Iterator[Finding]:
    found = nginx_program.find()
    if found is None:
        yield fault("nginx", "there is no nginx on this server any more", "teal setup")
        return
    says = run([found.argv[0], "-v"], PROGRAM_S).output
    at_boot = properties("nginx.service", ["UnitFileState"]).get("UnitFileState", "")
    seen = Seen(says, found.master is not None, found.refuses(), at_boot)
    told = [visit.footprint, *(other for _, other in footprint.others(visit.app.host.paths, visit.app.name))]
    yield from nginx(seen, {one.nginx for one in told if one.nginx})


def nginx(seen: Seen, ours: Collection[str]) -> Iterator[Finding]:
    """`ours`: the files that setup wrote, of all apps."""
    found = re.search(r"nginx/(\d+)\.(\d+)(\.\d+)?", seen.says)
    name = found.group(0) if found else "nginx"
    if found and (int(found.group(1)), int(found.group(2))) < OLDEST:
        yield fault("nginx", f"{name} is too old: Teal needs 1.18", there("apt install nginx"))
    if not seen.runs:
        first = "mend its configuration (below), then " if seen.refusal else ""
        says = "nginx does not run, so no site of this server is served"
        yield fault("nginx", says, f"{first}{there('systemctl start nginx')}")
    elif seen.at_boot == "disabled":
        says = f"{name} runs, but is not started at boot"
        yield warning("nginx", says, there("systemctl enable nginx"))
    else:
        yield ok("nginx", f"{name} runs")
    yield _configuration(seen, ours)


def _configuration(seen: Seen, ours: Collection[str]) -> Finding:
    if seen.refusal is None:
        return ok("nginx -t", "it would take its configuration again")
    mine = next((path for path in ours if seen.refusal.startswith(f"{path}:")), None)
    after = "what runs goes on, but a reload or a reboot would end it" if seen.runs else "it cannot start with that"
    says = f"nginx refuses its configuration; {after}"
    hint = "teal setup" if mine else "that file is not Teal's: mend it, then teal doctor again"
    return fault("nginx -t", says, hint, [seen.refusal])
