"""The fault matrix. The mark `row` says which row a test shows; the page lists the tests and their outcomes.

P0 must hold in every release, P1 should hold before 1.0. A `declined` row is not built, and gives the reason.
"""

from dataclasses import dataclass

GROUPS = {
    "A": "A command that dies at any point",
    "B": "The way to the server",
    "C": "A new release starts and is asked for its health",
    "D": "The switch",
    "E": "After the switch",
    "F": "Disk, memory, clock, limits",
    "G": "Several commands at once",
    "H": "A machine with its own ways",
    "J": "Data of the app, SQLite",
}
SECURITY = "S"  # the letter of the attacks, which have a table of their own


@dataclass(frozen=True)
class Row:
    name: str
    priority: str
    fault: str
    holds: str
    declined: str = ""


def _rows(priority: str, text: str) -> list[Row]:
    rows = []
    for line in text.strip().splitlines():
        name, fault, holds, *declined = (part.strip() for part in line.split("|"))
        rows.append(Row(name, priority, fault, holds, *declined))
    return rows


_P0 = """
A1 | the server side is killed at any act or call of a deploy | old or new serves; the next command recovers
A2 | the same in a rollback | old or new serves; the next command recovers
A3 | the same while old releases are removed | live and standby stay; a release that is half removed is never run
A5 | TERM, INT or HUP to the server side at any step | before the commit TERM aborts it; after it it finishes
A6 | the power is cut around each write, rename and fsync | old or new serves; the machine comes back by itself
A7 | the power is cut while a release is written | what is there in part is removed and never run
A9 | the machine is rebooted in a deploy | the live color serves after the boot; the deploy is finished or undone
A10 | the power is cut in the watch | it boots into one healthy release and decides what the watch had to
A16 | the machine goes down, and what comes up needs a while to be ready | it is judged within its own deadline
A17 | nginx hangs while an interrupted command is cleaned up | no release is blamed; the next command finishes
A15 | state is cut short, garbage, or of a newer Teal | nothing is guessed and nothing crashes; a human is asked
B1 | the client is killed in the upload | nothing changed, nothing is left
B2 | the line falls silent in the upload | both sides end within their limits, and the lock is free
B3 | the line falls silent after the commit | the server side ends alone; `teal status` tells how
B4 | the line falls silent in the watch | it is confirmed or rolled back without the client
B6 | the client reads no more, or says no more | no step is held up or broken by it
B7 | bytes are changed on the way or on the disk | refused by their hash; the old one is untouched
B8 | the upload ends too early, in good order | refused by its length
B11 | there is no python3, an old one, or half of one | one clear word with what to type; nothing changed
B12 | a program of another architecture or libc, or not executable | refused before it is sent
B13 | the other side is of another version of Teal | replaced or refused in words; never half understood
B16 | two versions of Teal take turns on one server | nothing is lost; the older one stops before what it does not know
B15 | the host key is unknown or has changed | nothing is sent
C1 | the program exits at once | refused fast, with its exit code and last lines
C2 | the program exits with 0 | that is a failure too
C3 | the program crashes again and again | found by its restarts, not by a lucky sample
C4 | systemd's limit of starts is used up by earlier failures | the next good deploy starts all the same
C5 | the program never listens | refused at the deadline; the port is named
C6 | it listens on another port, on ::1 only, or to everybody | named; open to everybody is a warning
C7 | a slow start, and 503 while it warms up | waited for up to the limit
C8 | somebody else has the port | named before the start, and never given traffic
C9 | the port's former owner ignores TERM and has children | the whole group is killed before the next start
C11 | health flaps | so many good answers in a row are needed
C13 | health hangs or drips | each question and all together have a deadline
C17 | the kernel ends it for want of memory | said in these words
C21 | systemd re-executes itself again and again | no deploy is refused for it
C18 | it runs out of memory in the watch | rolled back; later the kernel ends the standby first
D1 | many deploys under every kind of client | no request lost or doubled
D2 | many rollbacks under every kind of client | no request lost or doubled
D5 | nginx is stopped | refused with what to type; nothing changed
D7 | a foreign site's configuration is broken | a deploy goes on; a change of routes refuses, with file and line
D9 | Teal's own nginx file would be refused | tried before it is in place; the routes stay as they were
D14 | Teal's nginx file was edited by hand | shown as a difference, not overwritten; a deploy leaves it alone
D17 | an upload that began before the switch | ends where it began, however slow
D18 | requests over HTTP, HTTPS and HTTP/2 are under way for two deploys, or no standby is kept | end where they began
E1 | the new release crashes in the watch | rolled back; only requests that met the crash fail
E2 | a visitor's request crashes it | rolled back
E5 | a rollback is wanted, the standby is dead | it is started again; if it is not well, the other stays, exit 10
E6 | rollback after rollback | goes where it said it would
E9 | long streams on the color that is to be used again | waited for, counted, told, then ended
E10 | two deploys right after each other | the work of the one before is still waited for
E16 | what the live release needs at its start is away for long | it is tried for ever, told, and back within 15 s
E17 | what the live release needs comes later than it does at boot | the same
E21 | it runs behind a start script or `npm start` | it is told to end, and finishes its requests
E22 | setup moves a port, or a release is rolled back, with a request in flight there | that color answers it first
E19 | the live program is killed again and again under load | no GET or HEAD is lost, nothing else is sent twice
E12 | background jobs on both colors | run once where `previous_running = false`
E18 | a visitor's requests fail on every release, or on the new one | nobody alone decides; a worse one is rolled back
F1 | the disk is full in the upload | refused; nothing is left; the old one serves
F2 | the disk is full at any write of the state | old or new serves, and what is told is true
F16 | a full disk takes a part of a line | the line is undone and the error told, on both sides
F6 | old releases pile up | so many are kept; live and standby always; the disk stays as it is
F17 | the machine has 20,000 sockets | a drain takes less than 5 % of a processor
F18 | the log has 100,000 lines of 2 kB | `teal logs` takes no more memory for them, on either side
F19 | the journal has the lines of years | read once, trimmed after a story, and what recovery needs stays
G1 | two commands for one app | the second is told who, since when, doing what; it can wait
G2 | the holder of the lock is killed | the lock is free at once
G3 | the client is gone, its deploy goes on | the next command is told, and breaks nothing
G6 | a rollback while a deploy runs | the deploy gives way: exit 8 before its switch, 7 in its watch
G10 | CI cancels the job | the server side ends alone; the next job sees how
H5 | nginx cannot reach the marker it is told to look at | the proof through nginx fails and the link goes back
J1 | both colors write to one SQLite file | nothing is lost or locked with the settings of docs/data.md
J3 | a migration at the start fails | refused; the old one serves on the old data
J6 | a backup while both write and a switch happens | whole, made as docs/data.md says
"""

_P1 = """
A8 | a rename is durable and the bytes before it are not | no empty or half file is believed
A13 | fsync says EIO | the old one stays, and the words name the disk
A14 | the disk is read-only | refused in words; the old one serves
B5 | the line is cut or reset at each message | as before or after the commit
B9 | a very slow line that loses packets | it works, with progress
C12 | healthy at first, sick after some seconds | the watch rolls back
C15 | healthy, and its pages fail | `[verify]` and nginx's log see it
C16 | a variable is missing in its environment | its own words are shown
C19 | its sandbox cannot be made | said in these words
C20 | its data directory cannot be written | its own words are shown; doctor names it
D6 | nginx dies between the switch and its proof | the link goes back, and that is said
D8 | a foreign upstream does not resolve | as with a broken foreign site
D11 | somebody else serves the name | refused, and who it is
D12 | nginx is reloaded again and again by others | the switch is right all the same
D15 | the unit was edited by hand, or has a drop-in | shown; drop-ins hold
D20 | the clock jumps in the switch | deadlines do not notice
E4 | it crashes after the watch | systemd restarts it; Teal leaves it alone, and doctor tells
E11 | it needs long to stop | waited for, up to its limit
E13 | memory is short | the standby goes first
E15 | the standby crashes | told by status; systemd starts it again until it runs
F3 | no more files can be made | refused; the words say files
F4 | /tmp is full | nothing of Teal needs it
F8 | too little memory for two | doctor warns
F12 | the clock jumps while a lock is held or waited for | a lock has no age
F13 | an odd language and time zone on the server | what programs say is read all the same
F15 | a noexec file system, a hostile umask | said in words; modes are exact
G5 | two apps are deployed at once | neither meets the other
G7 | looking while a deploy runs | never blocked
G8 | something else is where the lock or the journal should be | refused, not followed
H8 | localhost is odd, IPv6 is off | 127.0.0.1 is meant literally
J2 | a long migration | old requests wait as long as SQLite is told to
J4 | an old release on a newer schema | a rollback does not undo data: docs/data.md says how to live with it
J5 | killed in the middle of a write | nothing that was answered is lost
J7 | the disk is full in a backup | | Teal makes no backups: docs/data.md
J8 | a database that only one program can open | refused with its own words
"""

_ATTACKS = """
S1 | a process titled "nginx: master process …" names a program of its own | a title is never run or believed
S2 | an app leaves a unit, a crontab or a key for ssh in its home | its user has no home, no login and no manager
S3 | an app, another user or a key takes the port of a color | it answers nobody, sees no request, and is named
S4 | an intruder on the old color ends the mended release | `teal deploy --evict` ends all of the app first
S5 | a server puts a command into `{arch}` of the build | every word of a greeting has a grammar, a remembered one too
S6 | a stolen key holds the lock with drops, silence and long waits | revoked at once, whatever its thief does
S7 | an app enters the command of `teal exec` | the command has the sandbox of the app
S8 | an app fills its data so that nothing can remove it | its processes end first; no depth stops `destroy`
S9 | a server, ssh or a program writes escapes and commands of a CI | shown, never obeyed
S10 | a repository names programs for git | git runs none of them
S11 | one large message, many, or many mistakes | bounded before any work; what is not yours is not told
S12 | an app reads the probe's token, floods the log; a client says who it is | for root alone; bounded; said anew
S13 | other titles, names, environments, cgroups and numbers of processes | the kernel's word decides
S14 | a program, a file or a link on root's way belongs to another user | not run, not read
S15 | links, hard and symbolic, where root reads, writes or removes | not followed
S16 | FIFOs, sockets and devices in place of files | one name to remove; never waited for
S17 | `PATH`, `LD_…`, `GIT_…`, `PYTHON…`, `SYSTEMD_…`, `SUDO_…` of whoever logs in | no program is found or bent by them
S18 | file names, arguments and names of keys with control characters | stored literally, shown escaped
S19 | processes that fork and end faster than they can be listed | ended in one step by `destroy` and `--evict`
S20 | an app asks the sockets of others, abstract ones too, and takes their ports | refused; none of Teal's is abstract
S21 | an app turns on nginx: `X-Accel-Redirect`, `X-Accel-Buffering`, broken answers | it harms its own answers alone
S40 | a hostile app does all of this beside another under load | the other loses nothing, no cookie is seen
S41 | an app fills the disk that it has for itself | other apps write, and every command works
S42 | an app forks, allocates and computes without end | its own limits end it
S22 | an app signals, traces, mounts, loads, reboots, starts units | denied, and nothing of the machine has changed
S23 | an app or a key reads or writes files and logs of others | denied
S24 | an app holds a lock of Teal's | it cannot open one
S25 | a key hides what it did: a full audit, long lines, many lines | bounded for each key, and no change goes unlogged
S26 | a secret in arguments, output, logs or files for others | in files of root and in the app's environment alone
S27 | a server answers with strange values, too late or something else | one error; nothing is run or sent with it
S28 | a server asks for files that are not of the artifact | not sent
S29 | links, pipes and devices in a repository, where `teal init` reads and writes | not waited for, not followed
S30 | a key asks ssh or sudo for something else, or for another app | refused
S31 | a key sends malformed, hostile, repeated or cut messages and artifacts | refused whole; nothing is left
S32 | many connections of one key | a few at once; the admin and other apps have theirs
S33 | an hour of hostile use of a key of a lower tier | nothing changes that visitors see
S34 | what the unit of an app leaves open | systemd rates it below 2.0, with every key of `[sandbox]`, too
S35 | modes and owners of what Teal writes | as docs/explanation/security.md lists them
S36 | what no reader expects, such as a line feed in the name of a socket | that reader's own error, in bounded time
S37 | a certificate expired, or of another CA, or wants more, or its connection stays open | refused
S45 | somebody outside asks each port with a listener, a program's on all addresses too | nginx and sshd alone answer
"""

MATRIX = tuple(
    sorted(
        [*_rows("P0", _P0), *_rows("P1", _P1), *_rows("P0", _ATTACKS)],
        key=lambda row: (row.name[0], int(row.name[1:])),
    )
)
