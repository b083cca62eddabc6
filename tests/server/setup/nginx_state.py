"""nginx as its admin sees it: a foreign site, the processes, and what nginx serves."""

from harness import Server
from harness.world import wait_until


def reload(server: Server) -> None:
    """Reloads nginx, and waits until no worker of before takes a visitor: `systemctl` does not wait for that."""
    runs = server.run("test", "-e", "/run/nginx.pid").returncode == 0
    workers = nginx(server)[1] if runs else frozenset()
    assert server.run("systemctl", "reload-or-restart", "nginx").returncode == 0
    wait_until(lambda: not workers & _accepting(server), pause_s=0.05)


def _accepting(server: Server) -> set[str]:
    """Every worker that does not say that it is shutting down."""
    rows = server.run("ps", "-eo", "pid,args").stdout.splitlines()
    return {row.split()[0] for row in rows if row.endswith("nginx: worker process")}


def nginx(server: Server) -> tuple[int, frozenset[str]]:
    """The master and its workers, which a reload replaces."""
    master = server.run("cat", "/run/nginx.pid").stdout.strip()
    return int(master), frozenset(server.run("pgrep", "-P", master).stdout.split())


def get(server: Server, name: str, port: int = 80, address: str = "127.0.0.1") -> str:
    return server.run("python3", "-c", _GET, name, str(port), address).stdout


_GET = """
import http.client, sys
line = http.client.HTTPConnection(sys.argv[3], int(sys.argv[2]), timeout=60)
line.request("GET", "/", headers={"Host": sys.argv[1]})
answer = line.getresponse()
print(answer.status, answer.read().decode(errors="replace"))
"""


def site(name: str, listen: str) -> str:
    return f"server {{ listen {listen}; server_name {name}; return 200 {name}; }}\n"
