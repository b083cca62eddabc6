"""Who may answer on an app's ports: the text of its nftables table, and of the units that go with it.

nftables asks who would take a packet. A socket that was not made in the app's slice of cgroups takes none, and nginx
is refused at once, as where nobody listens. Where rules cannot ask that, no other user's socket sends from the port.
Then a packet that no socket owns passes, as a SYN cookie does: any user can make the kernel answer for the app with
cookies, and a rule that stops these would let every user close a live app.

systemd's limits keep one color from the ports of the other, but systemd ignores them silently where it has no BPF.
"""

import contextlib
import hashlib
from string import Template
from typing import Tuple

from teal_host.ground import files
from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths, ColorPaths
from teal_host.supervisors import nftables
from teal_host.wire.app import Ports, Sandbox
from teal_host.wire.values import dataclass

_RULES = Template("""\
# ${app}: written by `teal setup`. On the ports of the colors only ${user} answers, and only this machine reaches them.
table inet teal-${app}
delete table inet teal-${app}
table inet teal-${app} {
\tchain answers {
\t\ttype filter hook output priority filter; policy accept;
${answers}\t}
\tchain visitors {
\t\ttype filter hook input priority filter; policy accept;
${visitors}\t}
\tchain listeners {
${listeners}\t}
}
""")
_ANSWER = Template(
    '\t\ttcp sport ${port}${only} meta skuid != "${user}" reject with tcp reset comment "teal ${digest}"\n'
)
_VISITOR = Template("""\
\t\tiifname != "lo" tcp dport ${port}${only} drop comment "teal ${digest}"
\t\ttcp dport ${port}${only} goto listeners comment "teal ${digest}"
""")
_OWN = Template('\t\tsocket cgroupv2 level ${level} "system.slice/${slice}" accept comment "teal ${digest}"\n')
# Any socket is a wildcard or is none. Where no socket is, the kernel itself refuses.
_ANOTHER = Template('\t\tsocket wildcard <= 1 reject with tcp reset comment "teal ${digest}"\n')
_LEVELS = range(2, 9)  # in a container Linux before 6.12 counts from the machine's root; one cgroup fits at one level

_LOADER = Template("""\
# ${app}: written by `teal setup`. It loads the rules before nginx starts, and again where nftables.service flushes.
[Unit]
Description=Teal: ${app}, who answers on its ports
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Before=nginx.service ${colors}

[Service]
${slice}Type=oneshot
RemainAfterExit=yes
ExecStart=-${nft} --file ${rules}
ExecReload=-${nft} --file ${rules}
SyslogIdentifier=teal

[Install]
WantedBy=multi-user.target
""")
_LOADED = Template("""\
[Unit]
Wants=${loader}
Upholds=${loader}
After=${loader}

""")
_COLOR = Template("""\
# ${app} on ${color}: written by `teal setup`.
${loaded}[Service]
${load}SocketBindDeny=1-65535
${own}${low}""")


@dataclass(frozen=True)
class PortLimits:
    """`filtered`: the kernel takes rules of nftables. From port `clients_from` on it gives ports to clients as well.

    `slice`: of both colors, where rules can ask for it; else empty.
    """

    paths: AppPaths
    user: str
    pairs: Tuple[Ports, ...]
    sandbox: Sandbox
    filtered: bool
    clients_from: int
    slice: str

    @property
    def every_port(self) -> Tuple[int, ...]:
        return tuple(port for pair in self.pairs for port in pair.by_color.values())


def table(paths: AppPaths) -> str:
    return f"teal-{paths.app}"


def slice_of(paths: AppPaths) -> str:
    """Where systemd puts the units of both colors, if no admin says otherwise."""
    escaped = table(paths).replace("-", r"\x2d")
    return f"system-{escaped}.slice"


def are_in_effect(paths: AppPaths) -> bool:
    """Does nftables guard the ports of this app now, as its file says? An nft that fails refuses no release."""
    text = files.text_of(paths.port_rules)
    with contextlib.suppress(CannotRun):
        return text is not None and nftables.is_loaded(table(paths), text)
    return False


def rules_text(limits: PortLimits) -> str:
    """The digest of the first pass stands in the comments of the second."""
    return _rules(limits, hashlib.sha256(_rules(limits, "").encode()).hexdigest()[:12])


def loader_text(limits: PortLimits) -> str:
    paths = limits.paths
    colors = " ".join(color.unit for color in paths.colors)
    # Itself in the slice, so its cgroup is there before nft asks for it, and stays.
    own = f"Slice={limits.slice}\n" if limits.slice else ""
    return _LOADER.substitute(app=paths.app, colors=colors, nft=nftables.NFT, rules=paths.port_rules, slice=own)


def color_text(limits: PortLimits, color: ColorPaths) -> str:
    """Port 0 stays: there the kernel chooses. Every start loads the rules, for whom somebody has flushed them."""
    paths, has_low = limits.paths, "CAP_NET_BIND_SERVICE" in limits.sandbox.capabilities
    return _COLOR.substitute(
        app=paths.app,
        color=color.color,
        loaded=_LOADED.substitute(loader=paths.port_loader.name) if limits.filtered else "",
        load=f"ExecStartPre=-+{nftables.NFT} --file {paths.port_rules}\n" if limits.filtered else "",
        own="".join(f"SocketBindAllow={pair.of(color.color)}\n" for pair in limits.pairs),
        low="SocketBindAllow=1-1023\n" if has_low else "",
    )


def _rules(limits: PortLimits, digest: str) -> str:
    """Of a port that a client of anything may have as well, only the beginning of a connection to the port counts."""
    answers, visitors = "", ""
    for port in limits.every_port:
        words = {"port": port, "user": limits.user, "digest": digest}
        is_of_clients = port >= limits.clients_from
        answers += _ANSWER.substitute(words, only=" tcp flags & (syn | ack) == syn | ack" if is_of_clients else "")
        visitors += _VISITOR.substitute(words, only=" tcp flags & (syn | ack) == syn" if is_of_clients else "")
    chains = {"answers": answers, "visitors": visitors, "listeners": _listeners(limits.slice, digest)}
    return _RULES.substitute(chains, app=limits.paths.app, user=limits.user)


def _listeners(own: str, digest: str) -> str:
    levels = (_OWN.substitute(level=level, slice=own, digest=digest) for level in _LEVELS)
    return "".join(levels) + _ANOTHER.substitute(digest=digest) if own else ""
