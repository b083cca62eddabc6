"""Where nginx reads the certificate at each handshake: a directory that is never without one."""

import pwd
import stat
from functools import partial
from typing import Iterator, Optional, Tuple

from teal_host.ground import files, processes
from teal_host.ground.errors import CannotRun
from teal_host.ground.run import run
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange, note
from teal_host.proxies import system_nginx
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.state import footprint
from teal_host.state.route import Tls

OPENSSL = "openssl"
_FOLDER_MODE, _KEY_MODE, _ROOTS_KEY_MODE = 0o750, 0o640, 0o600
_PLACEHOLDER = (
    *(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "36500"),
    *("-subj", "/CN=no certificate yet", "-keyout", "/dev/stdout", "-out", "/dev/stdout"),
)
_MAKE_S = 30.0
_END = "-----END PRIVATE KEY-----\n"
_DEBIANS = "www-data"


def changes(intent: Intent) -> Iterator[SetupChange]:
    tls = intent.agreed.route(intent.app.paths).tls
    others = others_as_worker(nginx_program.find()) if tls else ""
    if others:
        text = f"{others} runs as nginx's user, so no key is made readable for nginx's workers"
        yield note(f"{text}: each new certificate takes a reload of nginx")
    if tls and not _is_so(tls):
        text = f"make the directory {tls.folder} for nginx to read, with a certificate for no name until there is one"
        yield SetupChange(text, partial(_make, intent, tls))


def others_as_worker(program: Optional[NginxProgram]) -> str:
    """The name of a program other than nginx that runs as the user of nginx's workers, and could read what they can."""
    worker = program.worker() if program else None
    if program is None or worker is None or worker.user == 0:
        return ""
    own = processes.children(program.master.pid) if program.master else []
    others = sorted(pid for pid in processes.of_user(worker.user) if pid not in own)
    return next(filter(None, map(processes.name_of, others)), "")


def _key_mode(program: Optional[NginxProgram]) -> int:
    """A worker opens the key at each handshake, unless somebody else could do that, too."""
    return _ROOTS_KEY_MODE if others_as_worker(program) else _KEY_MODE


def _is_so(tls: Tls) -> bool:
    program = nginx_program.find()
    worker = program.worker() if program else None
    if not (tls.chain.is_file() and tls.key.is_file() and tls.challenges.is_dir() and tls.covered.is_dir()):
        return False
    if stat.S_IMODE(tls.key.stat().st_mode) != _key_mode(program):
        return False
    status = tls.folder.stat()
    group = status.st_gid if worker is None else worker.group
    return (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (_FOLDER_MODE, 0, group)


def _make(intent: Intent, tls: Tls) -> None:
    """Killed anywhere, the next setup finishes it."""
    program = system_nginx.running()
    group, mode = _group(program), _key_mode(program)
    for folder in (tls.folder, tls.challenges):
        footprint.remember_made(intent.app.paths, folder)
    files.make_dir(tls.folder, 0o700)
    files.make_dir(tls.challenges)
    if not (tls.chain.is_file() and tls.key.is_file()):
        key, chain = _placeholder()
        files.write(tls.key, key, mode, group)
        files.write(tls.chain, chain, _KEY_MODE, group)
    files.own(tls.key, 0, group, mode)
    files.own(tls.chain, 0, group, _KEY_MODE)
    files.make_dir(tls.covered)
    files.own(tls.folder, 0, group, _FOLDER_MODE)


def _group(program: NginxProgram) -> int:
    """Of nginx's workers: as they run, else as they would."""
    worker = program.worker()
    return worker.group if worker else pwd.getpwnam(_user(program) or _DEBIANS).pw_gid


def _user(program: NginxProgram) -> Optional[str]:
    return next((user.args[0] for user in program.tree().top("user") if user.args), None)


def _placeholder() -> Tuple[str, str]:
    """A key and a certificate that no client takes."""
    made = run(_PLACEHOLDER, _MAKE_S)
    begin, end = made.output.find("-----BEGIN PRIVATE"), made.output.find(_END)
    chain = made.output.find("-----BEGIN CERTIFICATE")
    if made.code or min(begin, end, chain) < 0:
        raise CannotRun("openssl makes no certificate", [line for line in made.lines if "-----" not in line][-1:])
    return made.output[begin : end + len(_END)], made.output[chain:]
