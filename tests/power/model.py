"""Which release must serve, and what Teal must report of each: written from what Teal promises, not from its code.

- A deploy goes live, or changes nothing of what serves. A sick release never gets the link. A release that fails its
  verification, or dies in the watch, is rolled back if the previously live release is well or can be started;
  otherwise the release stays, and Teal asks for a person.
- A rollback without a name goes to the last good stored release before the live one, by sequence. It never goes to a
  release that was superseded, refused or rolled back.
- Stored are at least the configured number of good releases, the live one, and what a color holds.
- An interrupted command leaves the old release or the new one. The next command recovers: a release that was not
  switched to is refused; one that was stays if it is well, else the other color takes over if well or startable.
- A command that repeats an id gets the recorded result, and does nothing.
"""

from dataclasses import dataclass, field

from power.host import KEPT, Picture
from power.stories import manifest
from teal_host.wire.outcomes import FAILURES


@dataclass
class Entry:
    """A known release. `outcome` is as `teal releases` shows it."""

    seq: int
    release: str
    version: str
    outcome: str = "pending"

    @property
    def sick(self) -> bool:
        return self.version.startswith("sick")

    @property
    def lies(self) -> bool:
        return self.version.startswith("lies")


@dataclass(frozen=True)
class Answer:
    """How a command ended: `unchanged`, `live`, or the code of its failure, and for which release."""

    command: str
    wanted: str | None
    code: str
    release: str | None

    @property
    def outcome(self) -> str:
        return next((outcome for code, (_, outcome) in FAILURES.items() if code == self.code), self.code)


@dataclass
class Model:
    live: str | None = None
    up: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)  # by the id of the command
    last: str | None = None  # the id of the story that ended last

    def by_seq(self) -> list[Entry]:
        return sorted(self.entries.values(), key=lambda entry: entry.seq)

    def back(self) -> Entry | None:
        """The release that a rollback without a name would serve."""
        here = self.entries.get(self.live or "")
        good = [e for e in self.by_seq() if e.outcome == "live" and e.release in self.stored]
        return next((e for e in reversed(good) if here and e.seq < here.seq), None)

    def needed(self, picture: Picture) -> set[str]:
        """The releases that must not have been pruned."""
        good = [e.release for e in self.by_seq() if e.outcome == "live" and e.release in self.stored]
        return {*good[-KEPT:], *(name for name in picture.holds.values() if name)} & self.stored

    def named(self, word: str) -> Entry | None:
        numbered = (e for e in self.entries.values() if word.isdigit() and e.seq == int(word))
        entry = self.entries.get(word) or next(numbered, None)
        return entry if entry and entry.release in self.stored else None

    def next_release(self, version: str) -> Entry:
        seq = 1 + max((entry.seq for entry in self.entries.values()), default=0)
        return Entry(seq, f"{seq:04d}-{manifest(version).digest[:12]}", version)

    # the commands; each returns the answer that Teal must give

    def deploy(self, story: str, version: str, dies: bool, picture: Picture) -> Answer:
        live = self.entries.get(self.live or "")
        if live and live.version == version and self._is_well(live, picture):
            return self._nothing_done(story, Answer("deploy", version, "unchanged", self.live))
        new = self.next_release(version)
        self.entries[new.release] = new
        self.stored.add(new.release)
        code = self._brought(new, dies, picture)
        answer = Answer("deploy", version, code, new.release)
        new.outcome = answer.outcome
        return self._end(story, answer)

    def rollback(self, story: str, word: str | None, dies: bool, picture: Picture, in_sight: str | None) -> Answer:
        target = self.entries.get(in_sight or "") or (self.back() if word is None else self.named(word))
        if target is None:
            return Answer("rollback", word, "not_there", None)
        if target.release == self.live and self._is_well(target, picture):
            return self._nothing_done(story, Answer("rollback", word, "unchanged", self.live))
        if not picture.agreed:
            return Answer("rollback", word, "needs_human", None)
        was, dies = self.entries.get(self.live or ""), dies and not self._stands_by(target, picture)
        stood = self._serves_again(was, picture)
        code = self._brought(target, dies, picture)
        if code == "live":
            target.outcome = "live"
            self._leave(was, target)
        elif dies and stood and not target.sick and not target.lies:
            target.outcome = "rolled_back"
        return self._end(story, Answer("rollback", word, code, target.release))

    def again(self, story: str) -> Answer:
        return self.answers[story]

    def destroyed(self) -> None:
        self.__init__()  # type: ignore[misc]

    def recovered(self, picture: Picture, rollback_to: str | None = None) -> None:
        """The model after the recovery, by the next command or after a boot. `picture` becomes the state afterwards.

        A rollback to a release other than the interrupted one judges nothing and goes nowhere by itself.
        """
        story = picture.open
        name = next((line["release"] for line in story if line.get("release")), None) if story else None
        for entry in self.entries.values():
            if entry.outcome == "pending" and entry.release != name:
                entry.outcome = "refused"
        if not story:
            return
        interrupted = self.entries.get(name or "")
        switched = any(line["event"] in ("switched", "rolled_back") for line in story)
        went_live = switched or self.live == name
        is_left = rollback_to not in (None, name)
        if interrupted is None or self.live != name:
            self._undone(story, interrupted, picture, is_left)
        elif is_left:
            self._left(story, interrupted, picture)
            answer = Answer(str(story[0]["what"]), None, "superseded", name)
            self._end(story[0]["id"], answer)
            return
        else:
            self._confirmed(story[0]["what"] == "rollback", interrupted, picture)
        self._end(story[0]["id"], self._answer_now(story[0], name, went_live))

    # the common rules

    def _brought(self, new: Entry, dies: bool, picture: Picture) -> str:
        """How bringing a release to the traffic ends."""
        if new.sick:
            return "unhealthy"
        before = self.entries.get(self.live or "")
        if new.lies:  # the previous release serves again, if it runs
            return "rolled_back" if before is None or picture.live_runs else "needs_human"
        if not dies:
            self.live, self.up = new.release, True
            return "live"
        if before and self._serves_again(before, picture):
            self.up = True
            return "rolled_back" if not before.lies else "needs_human"
        self.live, self.up = new.release, False
        return "needs_human"

    def _is_well(self, live: Entry, picture: Picture) -> bool:
        """Whether nginx sends requests to the release and the release answers correctly."""
        return picture.live_runs and picture.served and not live.lies

    def _serves_again(self, before: Entry | None, picture: Picture) -> bool:
        """Whether the previously live release serves when a new one dies: it still runs, or can be started."""
        return before is not None and (picture.live_runs or before.outcome == "live")

    def _stands_by(self, entry: Entry, picture: Picture) -> bool:
        """Whether the release runs on the color that is not live, and is healthy."""
        held, runs = picture.holds[picture.idle], picture.runs[picture.idle]
        return picture.live is not None and held == runs == entry.release and not entry.sick

    def _left(self, story: "list[dict[str, object]]", entry: Entry, picture: Picture) -> None:
        is_rollback = story[0]["what"] == "rollback"
        if picture.live_runs and not entry.sick and any(line["event"] == "switched" for line in story):
            entry.outcome = "live"
        elif not is_rollback:
            entry.outcome = "superseded"
        if is_rollback:
            self._leave(self.entries.get(picture.holds[picture.idle] or ""), entry)

    def _undone(self, story: "list[dict[str, object]]", entry: Entry | None, picture: Picture, is_left: bool) -> None:
        if entry and entry.outcome == "pending":
            switched = any(line["event"] in ("switched", "rolled_back") for line in story)
            entry.outcome = "rolled_back" if switched else "refused"
        had_visitors = any(line["event"] in ("switching", "switched", "rolled_back") for line in story)
        for line in story:
            color = str(line.get("color"))
            if line["event"] == "start" and color != picture.live and not (is_left and had_visitors):
                picture.runs[color] = None

    def _confirmed(self, is_rollback: bool, entry: Entry, picture: Picture) -> None:
        other = self.entries.get(picture.holds[picture.idle] or "")
        if picture.live_runs and not entry.lies:
            entry.outcome, self.up = "live", True
            if is_rollback:
                self._leave(other, entry)
            if picture.agreed and not picture.records[entry.release]["spec"]["keep"]["previous_running"]:
                picture.runs[picture.idle] = None
        elif other and not other.sick and (self._stands_by(other, picture) or self._can_start(other, picture)):
            picture.runs[picture.idle], picture.runs[str(picture.live)] = other.release, None
            picture.live = picture.idle
            self.live, self.up = other.release, True
            entry.outcome = "rolled_back"
        elif entry.outcome == "pending":
            entry.outcome = "unhealthy"

    def _can_start(self, entry: Entry, picture: Picture) -> bool:
        return picture.runs[picture.idle] is None and entry.outcome == "live"

    def _leave(self, was: Entry | None, target: Entry) -> None:
        if was and was.seq > target.seq:
            was.outcome = "superseded"

    def _answer_now(self, begin: "dict[str, object]", name: str | None, went_live: bool) -> Answer:
        """A client that asks how the interrupted command ended gets the present state."""
        outcome = self.entries[name].outcome if name in self.entries else "refused"
        serves = self.live == name and name is not None
        code = "live" if serves and outcome == "live" else "needs_human" if serves else "cancelled"
        code = "rolled_back" if not serves and went_live else code
        return Answer(str(begin["what"]), None, code, name)

    def _nothing_done(self, story: str, answer: Answer) -> Answer:
        """Records a command that did nothing, which is not the story that ended last."""
        self.answers[story] = answer
        return answer

    def _end(self, story: str, answer: Answer) -> Answer:
        known = self.answers.get(story)
        self.answers[story] = Answer(
            answer.command, known.wanted if known else answer.wanted, answer.code, answer.release
        )
        self.last = story
        return answer
