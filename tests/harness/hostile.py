"""What a hostile program does beside others: to nginx with its answers, and to the machine from inside its unit.

Each attack ends by itself and is bounded: processes by TasksMax and a counter, memory by MemoryMax, time by S.
"""

ANSWERS = {
    "a redirect to itself": "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /raw?x\r\n\r\n",
    "a redirect to a file": "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /etc/passwd\r\n\r\n",
    "headers without end": "HTTP/1.1 200 OK\r\n" + "".join(f"X-{n}: {'x' * 900}\r\n" for n in range(60)) + "\r\n",
    "no status": "\x00\xff" * 500,
    "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok",
    "a length and chunks": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a huge chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
    "two answers": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
    "a slow line": "HTTP/1.1 200 OK\r\nX-Accel-Limit-Rate: 1\r\nX-Accel-Charset: x\r\nContent-Length: 2\r\n\r\nok",
    "an upgrade that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "cookies for others": "HTTP/1.1 200 OK\r\nSet-Cookie: s=x; Domain=two.test\r\nContent-Length: 2\r\n\r\nok",
    "nothing": "",
}

# Every attack knows S, seconds; PIDS, processes of others; PORTS of the other app; SECRET, a cookie of its visitors.
# `told` is what the attack got, and must stay empty.
_KNOWN = """
import os, signal, socket, subprocess, time
S, PIDS, PORTS, SECRET, told = {seconds!r}, {pids!r}, {ports!r}, {secret!r}, []
DATA = os.environ["DATA_DIR"]
def got(name, act):
    try:
        act()
    except OSError:
        return
    told.append(name)
"""
_TITLES = """
subprocess.Popen(["nginx: master process /tmp/evil -c /tmp/x", str(S)], executable="/bin/sleep").wait()
"""
_PORTS = """
for port in PORTS:
    for address in ("127.0.0.1", "0.0.0.0"):
        got(f"{address}:{port}", lambda: socket.create_server((address, port), reuse_port=True).close())
"""
_SOCKETS = """
for line in open("/proc/net/unix"):
    words = line.split()
    if len(words) == 8 and words[3] == "00010000":  # it listens
        name = "\\0" + words[7][1:] if words[7][0] == "@" else words[7]
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(1)
        got(words[7], lambda: line.connect(name))
        line.close()
# The log, names of users, and sshd, which listens for everybody on port 22, too.
for_all = ("/run/systemd/journal/", "/run/systemd/userdb/", "/run/systemd/io.", "/run/ssh-unix-local/")
told = [name for name in told if not name.startswith(for_all)]
"""
_SIGNALS = """
for pid in PIDS:
    for number in (0, signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        got(f"{number} to {pid}", lambda: os.kill(pid, number))
"""
_PROC = """
for pid in PIDS:
    for name in ("environ", "mem", "maps", "stat", "cmdline", "root/etc/passwd", "cwd/x", "fd/0"):
        got(f"{pid}/{name}", lambda: open(f"/proc/{pid}/{name}", "rb"))
"""
_LINKS = """
os.makedirs(DATA + "/links", exist_ok=True)
for number, path in enumerate(("/var/lib/two", "/etc/shadow", "/var/lib/teal/two/releases", "/etc/teal/two/secrets")):
    here = f"{DATA}/links/{number}"
    got(f"hard {path}", lambda: os.link(path, here + "h"))
    if not os.path.islink(here):
        os.symlink(path, here)
        os.mkfifo(here + "f")
    got(f"soft {path}", lambda: os.listdir(here) if os.path.isdir(here) else open(here))
"""
_DISK = """
with open(DATA + "/filler", "wb") as file:
    for _ in range(16):
        file.write(bytes(1 << 20))
    os.fsync(file.fileno())
os.unlink(DATA + "/filler")
"""
_LOG = """
for number in range(3000):
    print("x" * 500, flush=True)
"""
_FORKS = """
children = []
while len(children) < 300:
    try:
        children.append(os.fork())
    except OSError:
        break
    if not children[-1]:
        time.sleep(S)
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
if len(children) == 300:
    told.append("no bound on processes")
"""
_MEMORY = """
child = os.fork()
if not child:
    held = [bytearray(b"x") * (16 << 20) for _ in range(40)]
    os._exit(7)
if os.waitpid(child, 0)[1] == 7 << 8:
    told.append("no bound on memory")
"""
_PROCESSOR = """
children = []
for _ in range(4):
    children.append(os.fork())
    if not children[-1]:
        until = time.monotonic() + S
        while time.monotonic() < until:
            pass
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
"""
_CONNECTIONS = """
lines = []
for number in range(60):
    lines.append(socket.create_connection(("127.0.0.1", 80)))
    half = b"GET / HTTP/1.1\\r\\nHost: two.test\\r\\nX-Slow: "
    lines[-1].sendall(half if number % 2 else b"GET /slow HTTP/1.1\\r\\nHost: one.test\\r\\n\\r\\n")
time.sleep(S)
for line in lines:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")  # it is reset
    line.close()
"""
_COOKIES = """
import __main__
told = [cookie for cookie in __main__.SEEN if SECRET in cookie]
looked = 0
for place in ("/var/log", "/var/lib", "/run", "/tmp", "/dev/shm", "/etc/nginx", "/proc/self"):
    for folder, _, names in os.walk(place):
        for name in names:
            looked += 1
            path = f"{folder}/{name}"
            if looked < 20000 and os.path.isfile(path) and name not in ("mem", "clear_refs") and "/task/" not in path:
                try:
                    with open(path, "rb") as file:
                        told += [path] * (SECRET.encode() in file.read(1 << 20))
                except OSError:
                    pass
"""
_ATTACKS = {
    "titles": _TITLES,
    "ports": _PORTS,
    "sockets": _SOCKETS,
    "signals": _SIGNALS,
    "/proc": _PROC,
    "links and pipes": _LINKS,
    "disk": _DISK,
    "log": _LOG,
    "processes": _FORKS,
    "processor": _PROCESSOR,
    "connections": _CONNECTIONS,
    "memory": _MEMORY,
    "cookies": _COOKIES,
}


def attacks(seconds: float, pids: list[int], ports: list[int], secret: str) -> dict[str, str]:
    """Code for the prober: a neighbour with these processes and ports, whose visitors have this cookie."""
    known = _KNOWN.format(seconds=seconds, pids=pids, ports=ports, secret=secret)
    return {name: known + code for name, code in _ATTACKS.items()}
