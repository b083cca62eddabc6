"""What renews certificates: certbot's own timer, and a daily look of Teal's own at what certbot has made.

certbot runs a hook once, and not again when the hook failed, as on a full disk. So a timer runs the same each day.
These files are of all apps, and go with the last one.
"""

from functools import partial
from pathlib import Path
from string import Template
from typing import Dict, Iterator

from teal_host.ground import files, systemctl
from teal_host.ground.paths import HostPaths
from teal_host.preparations.base import Intent
from teal_host.preparations.certificate import ORDERED
from teal_host.preparations.change import SetupChange
from teal_host.proxies import certbot
from teal_host.proxies.certbot import Lineage

_TIMER = "teal-certificates.timer"
_WITHIN_S = 30.0
_HEAD = "# Written by `teal setup`, and gone with the last app of Teal.\n"
_TIMER_TEXT = f"""\
{_HEAD}[Unit]
Description=Teal: certificates that a hook of certbot has missed

[Timer]
OnCalendar=daily
RandomizedDelaySec=6h
Persistent=true

[Install]
WantedBy=timers.target
"""
_SERVICE_TEXT = Template(f"""\
{_HEAD}[Unit]
Description=Teal: certificates that a hook of certbot has missed

[Service]
Type=oneshot
ExecStart=${{hook}}
TimeoutStartSec=5min
SyslogIdentifier=teal
NoNewPrivileges=yes
# The last two are for a reload of nginx, which takes one where its workers may not read the key.
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER CAP_SYS_PTRACE CAP_KILL
ProtectSystem=strict
ReadWritePaths=/etc/teal /var/lib/teal
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
""")
_TRUST_TEXT = Template(f"""\
{_HEAD}# The authorities of the system, and those of [https] ca_file.
[Service]
Environment=REQUESTS_CA_BUNDLE=${{authorities}}
""")


def changes(intent: Intent) -> Iterator[SetupChange]:
    host, lineage = intent.app.host.paths, Lineage(intent.app.paths)
    if intent.agreed.https.certificate != ORDERED:
        if lineage.renewal.exists():  # nginx no longer answers the questions of its authority
            yield SetupChange(f"certbot forgets its certificate {lineage.name}", partial(certbot.delete, lineage))
        return
    if any(files.text_of(path) != text for path, text in _texts(host, bool(intent.agreed.https.ca_file)).items()):
        text = f"write {_TIMER}, which looks each day whether nginx has the newest certificates"
        yield SetupChange(text, partial(_enable, host, bool(intent.agreed.https.ca_file)))


def withdraw(host: HostPaths) -> None:
    """The last app goes."""
    if not _timer(host).exists():
        return
    systemctl.order("stop", _TIMER, _WITHIN_S, lambda: True)
    paths = [host.authorities, _at_boot(host), *reversed([*_texts(host, has_ca=True)])]  # what is asked above goes last
    for path in filter(_is_in_a_folder, paths):
        files.remove(path)
        files.remove(files.unfinished(path))
    if _trust(host).parent.is_dir():
        files.remove_if_empty(_trust(host).parent)
    systemctl.reload_units()


def _enable(host: HostPaths, has_ca: bool) -> None:
    for path, text in _texts(host, has_ca).items():
        files.make_dir(path.parent)
        files.write(path, text)
    files.make_dir(_at_boot(host).parent)
    files.turn_link(_at_boot(host), str(_timer(host)))
    systemctl.reload_units()
    systemctl.order("start", _TIMER, _WITHIN_S, lambda: True)


def _texts(host: HostPaths, has_ca: bool) -> Dict[Path, str]:
    trust = {_trust(host): _TRUST_TEXT.substitute(authorities=host.authorities)} if has_ca else {}
    service = _SERVICE_TEXT.substitute(hook=certbot.hook(host))
    return {_timer(host): _TIMER_TEXT, _timer(host).with_suffix(".service"): service, **trust}


def _timer(host: HostPaths) -> Path:
    return host.root / "etc/systemd/system" / _TIMER


def _at_boot(host: HostPaths) -> Path:
    return _timer(host).parent / "timers.target.wants" / _TIMER


def _trust(host: HostPaths) -> Path:
    return _timer(host).parent / "certbot.service.d/teal.conf"


def _is_in_a_folder(path: Path) -> bool:
    return path.parent.is_dir()
