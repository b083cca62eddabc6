"""The text of an app's units, from validated values only: the same agreement gives the same text.

Both colors share one template. It names no release: `launch` reads at each start what to run. `systemd-analyze
security` rates the sandbox 1.4 of 10 (1.6 on Debian 12), an ordinary unit with its own user 9.5.
"""

from pathlib import Path
from string import Template

from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.supervisors.launch import CREDENTIAL
from teal_host.wire.app import Sandbox
from teal_host.wire.sources import PYTHON
from teal_host.wire.values import dataclass

_UNIT = Template("""\
# ${app}: written by `teal setup` from teal.toml; change it there, then run `teal setup` again.
[Unit]
Description=Teal: ${app} (%i)
After=network.target
${mounted}# An empty color is skipped, not failed.
ConditionPathExists=${home}/%i/release
# What was live comes back by itself, however late what it needs comes.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${python} -I -S ${installed} launch ${home}/live %i
LoadCredential=${credential}:${home}/%i/start.json
User=${user}
Group=${user}
StateDirectory=${app}
StateDirectoryMode=0700
Environment=HOME=${data}
UMask=${umask}
${sockets}Restart=always
${pauses}
KillMode=mixed
TimeoutStartSec=30s
TimeoutStopSec=30s
OOMPolicy=stop
SyslogIdentifier=teal
# journald's own default. Lines above it are counted, not kept: no program pushes sshd's lines out of the log.
LogRateLimitIntervalSec=30s
LogRateLimitBurst=10000
TasksMax=${tasks}
LimitNOFILE=${open_files}
LimitCORE=0
${memory}NoNewPrivileges=yes
CapabilityBoundingSet=${capabilities}
AmbientCapabilities=${capabilities}
ProtectSystem=strict
${writable}ProtectHome=yes
InaccessiblePaths=-/run/dbus -/run/systemd/private
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# .NET asks for it and ends at its start without it; of its own processes the program may say where they run.
SystemCallFilter=sched_setaffinity
${socket_calls}${system_calls}SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
""")


# Emptied at each start: most programs cannot listen where an old socket is. nginx's group reaches what is in it, and
# nobody else, whatever list of access the last program gave its directory. ProtectSystem= leaves /run as it is, so the
# other color's directory is made read-only, for which both are mounted before any start. Some programs set the owner
# of their socket themselves; without a capability that gives nothing away.
_SOCKETS = Template("""\
ExecStartPre=+${python} -I -S -c "${forget_access}" ${folder}/%i
ExecStartPre=+/usr/bin/install -d -m 2750 -o ${user} -g ${group} ${folder}/%i
ExecStartPre=+/usr/bin/find ${folder}/%i -mindepth 1 -delete
ReadOnlyPaths=-${all_sockets}
ReadWritePaths=-${folder}/%i
""")
_SOCKET_CALLS = "SystemCallFilter=@chown\n"
_FORGET_ACCESS = (
    "import os, sys; f = sys.argv[1]; [os.removexattr(f, x) for x in os.listxattr(f) if x.startswith('system.')]"
)
_MOUNTED = Template("RequiresMountsFor=${folder}/blue ${folder}/green\n")
_GROWING_SINCE = 254  # the first systemd that knows RestartSteps
_GROWING_PAUSES = "RestartSec=1s\nRestartSteps=6\nRestartMaxDelaySec=5s"
_PLAIN_PAUSE = "RestartSec=2s"

_RECOVERY = Template("""\
# ${app}: written by `teal setup`. After a boot it finishes a deploy or a
# rollback that was interrupted, and offers nginx no color that does not run in the place of the live one.
[Unit]
Description=Teal: ${app}, what was interrupted
After=nginx.service ${colors}
ConditionPathExists=${home}/journal

[Service]
Type=oneshot
ExecStart=${python} -I -S ${installed} recover ${app}
TimeoutStartSec=10min
SyslogIdentifier=teal

[Install]
WantedBy=multi-user.target
""")


_MOUNT = Template("""\
# ${app}: written by `teal setup`. The socket of a color is here, and there is room for little else.
# The kernel follows no link here: no program of the app leads nginx to another program's socket.
[Unit]
Description=Teal: ${app}, the socket of ${color}

[Mount]
What=tmpfs
Where=${folder}
Type=tmpfs
Options=mode=0755,nosuid,nodev,noexec,nosymfollow,size=64k,nr_inodes=128
LazyUnmount=yes
""")


@dataclass(frozen=True)
class Unit:
    """`installed`: the server side's path on the server. `systemd`: the version of systemd there.

    `socket_group`: that of nginx, where the app has unix sockets; else empty.
    """

    paths: AppPaths
    user: str
    sandbox: Sandbox
    installed: Path
    systemd: int
    socket_group: str = ""


def unit_text(unit: Unit) -> str:
    allowed, group = unit.sandbox, unit.socket_group
    folder = unit.paths.sockets
    whose = {"folder": folder, "all_sockets": folder.parent, "user": unit.user, "group": group}
    access = {"python": PYTHON, "forget_access": _FORGET_ACCESS}
    return _UNIT.substitute(
        app=unit.paths.app,
        home=unit.paths.home,
        data=unit.paths.data,
        python=PYTHON,
        installed=unit.installed,
        credential=CREDENTIAL,
        user=unit.user,
        tasks=allowed.tasks,
        open_files=allowed.open_files,
        memory=_line("MemoryMax", f"{allowed.memory_mb}M" if allowed.memory_mb else ""),
        capabilities=" ".join(allowed.capabilities),
        writable=_line("ReadWritePaths", " ".join(allowed.writable)),
        pauses=_GROWING_PAUSES if unit.systemd >= _GROWING_SINCE else _PLAIN_PAUSE,
        umask="0007" if group else "0077",
        mounted=_MOUNTED.substitute(folder=folder) if group else "",
        sockets=_SOCKETS.substitute(whose, **access) if group else "",
        socket_calls=_SOCKET_CALLS if group else "",
        system_calls=_line("SystemCallFilter", " ".join(allowed.system_calls)),
    )


def recovery_text(unit: Unit) -> str:
    """It is root's, as every command that changes something."""
    paths = unit.paths
    colors = " ".join(color.unit for color in paths.colors)
    return _RECOVERY.substitute(app=paths.app, home=paths.home, colors=colors, python=PYTHON, installed=unit.installed)


def mount_text(color: ColorPaths) -> str:
    return _MOUNT.substitute(app=color.app, color=color.color, folder=color.socket.parent)


def _line(name: str, value: str) -> str:
    return f"{name}={value}\n" if value else ""
