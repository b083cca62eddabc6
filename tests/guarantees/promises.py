"""What Teal promises in words, what Teal does not promise, and the runs that drive a fault further than CI does."""

from dataclasses import dataclass

PYTEST = "script/test"


@dataclass(frozen=True)
class LongRun:
    """A long run: `tests` of pytest with `env`, or `bench`, a script that writes its figures with --json.

    `sum_of` names the sum of the counts of one test that has many counts.
    """

    what: str
    env: str = ""
    tests: str = ""
    bench: str = ""
    sum_of: str = ""

    @property
    def command(self) -> str:
        return self.bench or " ".join(filter(None, [self.env, PYTEST, self.tests]))


LONG_RUNS = {
    "switches": LongRun("switches and rollbacks under every kind of client", bench="bench/switches --per-second 1700"),
    "switches-13": LongRun("the same on Debian 13", bench="bench/switches --per-second 1700 --debian 13"),
    "power-cuts": LongRun(
        "power cuts of a booted server, at random moments of deploys and rollbacks",
        env="TEAL_POWER_CUTS=100",
        tests="tests/server/test_power_cuts.py",
    ),
    "every-call": LongRun(
        "each file call of deploy, rollback and recovery on a server killed, out of space, or broken, by strace",
        env="TEAL_EVERY_ACT=1",
        tests="tests/server/test_failing_calls.py",
        sum_of="calls",
    ),
    "every-message": LongRun(
        "the line reset at each message of a deploy",
        env="TEAL_EVERY_ACT=1",
        tests="tests/server/test_bad_lines.py",
    ),
    "every-act": LongRun(
        "each act of deploy, rollback and recovery refused by the disk",
        env="TEAL_EVERY_ACT=1",
        tests="tests/crash/test_failed_acts.py",
    ),
    "random-stories": LongRun(
        "random stories of deploys, rollbacks, kills, power cuts and reboots against a model",
        env="TEAL_EXAMPLES=1000",
        tests="tests/power/test_state_machine.py",
    ),
    "fallback": LongRun(
        "kills of the live program under load: the standby answers until it is back",
        env="TEAL_KILLS=20",
        tests="tests/server/test_fallback.py",
    ),
    "late-dependency": LongRun(
        "what the live release needs is away for ten minutes, at runtime and at boot",
        env="TEAL_AWAY_S=600",
        tests="tests/server/test_programs_that_end.py -k live_release_is_back",
    ),
    "reexecution": LongRun(
        "deploys while systemd re-executes itself every half second",
        env="TEAL_DEPLOYS=100",
        tests="tests/server/test_reexecution.py",
    ),
    "attack": LongRun(
        "ten minutes of requests that fail on every release, then a worse release",
        env="TEAL_ATTACK_S=600",
        tests="tests/local/test_attack.py",
    ),
    "hostile": LongRun(
        "ten minutes of a hostile app beside another under load, which loses nothing",
        env="TEAL_HOSTILE_S=600",
        tests="tests/server/test_sandbox.py -k hostile",
    ),
    "verdicts": LongRun(
        "simulated deploys, of which the watch keeps a worse release or rolls back a good one",
        env="TEAL_CASES=10000",
        tests="tests/host/test_verdict_rates.py",
    ),
    "sockets": LongRun(
        "a drain on a machine with so many sockets",
        env="TEAL_SOCKETS=20000",
        tests="tests/local/test_drain.py -k many_sockets",
    ),
    "log-lines": LongRun(
        "lines of 2 kB, read by `teal logs -n`",
        env="TEAL_LOG_LINES=100000",
        tests="tests/local/test_logs.py -k no_more_memory",
    ),
    "fuzz": LongRun(
        "inputs to each reader of what somebody else writes: messages, files, /proc, systemd, nginx, HTTP, TOML, ssh",
        env="TEAL_FUZZ_S=300",
        tests="tests/fuzz/test_readers.py -k any_input",
    ),
    "programs": LongRun(
        "requests while programs of nine compilers and runtimes are deployed, of which none fails",
        env="TEAL_PROGRAMS=all",
        tests="tests/server/test_real_programs.py -k any_compiler",
    ),
    "endurance": LongRun("half an hour of deploys under load", bench="bench/endurance --per-second 100"),
}

PROMISES = (
    (
        "No request of a healthy app is lost or doubled by a deploy, a refused deploy or a rollback",
        "Clients that never retry, from HTTP/1.0 to HTTP/2, slow uploads and streams among them",
        "D1 D2 D17 D18 E9 E10",
    ),
    (
        "Whatever is killed, unplugged or cut in a command, the old or the new release serves; if neither is well, "
        "exit 10 says so; `teal status` tells the truth, and the next command finds its way",
        "The link is the truth, the journal is intent. After a first deploy that was killed its release serves, or "
        "nothing yet",
        "A1 A2 A3 A5 A6 A7 A9 A10 B3 B4 F1 F2",
    ),
    (
        "A release that is not healthy never gets a request, and one that turns bad in the watch is rolled back, once",
        "Health is asked of the very process that was started",
        "C1 C3 C5 C6 C8 C11 C13 E1 E2 E5 E18 H5",
    ),
    (
        "A deploy key can deploy its app, and gets no shell, no other app and no root; an app cannot touch its release",
        "Shown by `tests/server/deploy_key`, `test_sandbox.py` and `test_secrets.py`",
        "",
    ),
    ("The exit code and the last line are true", "Wherever one fails", "A1 A2 B3 E1 G1 G10"),
    (
        "Nothing of anybody else on the server is changed or reloaded by an ordinary deploy",
        "A broken foreign site does not stop one",
        "D7 D14 G5",
    ),
)

NOT_PROMISED = (
    "what the program itself answers, or loses when it crashes: an answer that has begun is cut, and every request but "
    "a GET or HEAD fails, until systemd has started the program again",
    "that a GET or HEAD is handled once, where the program ends in the middle of it: then the standby answers it anew",
    "a reboot of the machine, and a stop, restart, upgrade or reload of nginx by others: what they lose is theirs",
    "streams and uploads that last longer than `keep.drain_s` after the switch, once their color is to be used again: "
    "they are counted and told, then ended",
    "that a GET or HEAD is handled once, where the program closes a kept connection just when nginx uses it: then "
    "nginx asks once more; every other request gets a connection of its own and is never sent twice",
    "data: a rollback turns traffic, not rows of a database (docs/data.md)",
    "a disk that lies about fsync",
    "HTTP/3, and more than one server",
)
