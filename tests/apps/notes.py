"""A program that keeps notes in SQLite, in both colors at once, as docs/data.md says; for tests/local/test_sqlite.py.

tests/local/test_sqlite.py writes BEHAVIOUR in front of this text, as for program.py. The file `refused` gets every
statement error of SQLite.
"""

import fcntl
import json
import os
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEHAVIOUR: dict[str, Any] = globals().get("BEHAVIOUR", {})
DATA = Path(os.environ["DATA_DIR"])
TOLD = {"version": BEHAVIOUR.get("version"), "color": os.environ["COLOR"], "release": os.environ["RELEASE"]}
HAS_STORE = threading.Event()


def opened() -> sqlite3.Connection:
    """Opens a connection for each request. Transactions begin only where the code begins them."""
    connection = sqlite3.connect(DATA / "app.db", isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


def change(*statements: tuple[Any, ...]) -> None:
    """Runs all statements or none. The transaction first takes the write lock, and waits for it."""
    connection = opened()
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(*statement)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with (DATA / "refused").open("a") as file:
            file.write(f"{os.environ['COLOR']}: {error}\n")
        raise
    finally:
        connection.close()


def migrate() -> None:
    """Runs the missing migrations at the start."""
    change(
        ("CREATE TABLE IF NOT EXISTS notes (text TEXT, version TEXT)",),
        ("CREATE TABLE IF NOT EXISTS ticks (color TEXT, pair INTEGER)",),
    )
    if BEHAVIOUR.get("migrates_badly"):
        change(("ALTER TABLE notes ADD COLUMN mood TEXT",), ("DELETE FROM notes",), ("INSERT INTO nowhere VALUES (1)",))
    if "migrates_for" in BEHAVIOUR:
        connection = opened()
        connection.execute("BEGIN EXCLUSIVE")
        print("migrating", flush=True)
        time.sleep(BEHAVIOUR["migrates_for"])
        connection.execute("COMMIT")


def add_note(row: dict[str, str]) -> None:
    marks = ", ".join("?" * len(row))
    change((f"INSERT INTO notes ({', '.join(row)}) VALUES ({marks})", list(row.values())))


def tick() -> None:
    """A background job that both colors run: it writes two rows each time, or none."""
    number = 0
    while True:
        number += 1
        rows = [("INSERT INTO ticks VALUES (?, ?)", (os.environ["COLOR"], os.getpid() * 10**6 + number))] * 2
        change(*rows)
        time.sleep(0.05)


def take_store() -> None:
    """Takes the store for this process alone, as some databases do."""
    store = (DATA / "store").open("w")
    waits = BEHAVIOUR["store"] == "waits"
    try:
        fcntl.flock(store, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        sys.exit("store: it is locked by another process")
    os.dup(store.fileno())  # keeps the lock for good
    HAS_STORE.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *ignored: Any) -> None:
        return

    def do_GET(self) -> None:
        self.answer(200, {"message": "ok", **TOLD, "pid": os.getpid()})

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        HAS_STORE.wait()
        try:
            mood = {"mood": "well"} if BEHAVIOUR.get("writes_mood") else {}
            add_note({"text": text, "version": BEHAVIOUR["version"], **mood})
        except sqlite3.Error as error:
            return self.answer(500, {"message": str(error)})
        return self.answer(200, TOLD)

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    try:
        migrate()
    except sqlite3.Error as error:
        sys.exit(f"the migration failed: {error}")
    if BEHAVIOUR.get("store") == "waits":
        threading.Thread(target=take_store, daemon=True).start()
    elif "store" in BEHAVIOUR:
        take_store()
    else:
        HAS_STORE.set()
    threading.Thread(target=tick, daemon=True).start()
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
