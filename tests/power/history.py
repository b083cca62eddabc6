"""Histories of a host: deploys, rollbacks, kills, power cuts and boots in any order, each step compared with the model.

After an interrupted command, the model takes over what is found, once it is checked that this may be found.
"""

import copy
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from power.disk import Cut
from power.host import APPS, COLORS, Fuse, Killed, LastingHost, Picture
from power.model import Answer, Model
from teal_host.ground.errors import HostError
from teal_host.stories.status import list_releases, status
from teal_host.wire.messages import Result

MEMORY = Path("/dev/shm")
COUNTED: Counter[str] = Counter()

names = st.sampled_from(["shop", "shop", "shop", "blog"])
well = st.sampled_from(["well-1", "well-2", "well-3", "well-4"])
unwell = st.sampled_from(["sick-1", "lies-1", "sick-2", "lies-2"])
shares = st.lists(st.sampled_from([0.0, 1.0, 0.5, 0.25, 0.75]), min_size=1, max_size=5).map(tuple)
cuts = st.builds(Cut, shares, st.sampled_from([0.0, 1.0, 0.5]))
acts = st.one_of(st.integers(1, 90), st.integers(35, 65))  # the switch is among the second range
fewer = st.integers(1, 30)  # a rollback to a running release has no more acts
cut_short = st.one_of(acts, st.tuples(acts, cuts))
ends = st.one_of(st.none(), st.none(), cut_short)
ends_back = st.one_of(st.none(), fewer, st.tuples(fewer, cuts), cut_short)
Interruption = tuple[int, Cut] | None
End = int | Interruption


class History(RuleBasedStateMachine):
    """One host with two apps, from its first command on."""

    @initialize(server=st.booleans(), previous_running=st.sampled_from([True, True, False]))
    def begin(self, server: bool, previous_running: bool) -> None:
        home = tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self.host = LastingHost(Path(home), server, previous_running)
        self.models = {name: Model() for name in APPS}
        self.unsynced: dict[str, list[Model]] = {name: [] for name in APPS}  # the states that a kill may have left
        self.half_gone: set[str] = set()  # the apps of an interrupted destroy
        self.untidy: set[str] = set()  # the apps of another interrupted command
        self.touched: set[str] = set()  # the apps of the last step
        self.stories = 0
        COUNTED["histories"] += 1

    def teardown(self) -> None:
        if hasattr(self, "host"):
            self.host.close()

    # the commands

    @rule(name=names, version=well)
    def deploy(self, name: str, version: str) -> None:
        self._deploy(name, version, False, None)

    @rule(name=names, version=well, end=cut_short)
    def deploy_cut_short(self, name: str, version: str, end: End) -> None:
        self._deploy(name, version, False, end)

    @rule(name=names, version=unwell, end=ends)
    def deploy_what_is_not_well(self, name: str, version: str, end: End) -> None:
        self._deploy(name, version, False, end)

    @rule(name=names, version=well, end=ends)
    def deploy_what_dies_in_the_watch(self, name: str, version: str, end: End) -> None:
        self._deploy(name, version, True, end)

    @rule(name=names, end=ends)
    def deploy_what_is_live(self, name: str, end: End) -> None:
        live = self.models[name].entries.get(self.models[name].live or "")
        if live:
            self._deploy(name, live.version, False, end)

    @rule(name=names, end=ends_back, dies=st.sampled_from([False, False, True]))
    def roll_back(self, name: str, end: End, dies: bool) -> None:
        self._rollback(name, None, dies, end)

    @rule(name=names, end=ends_back, pick=st.integers(0, 5), by_number=st.booleans())
    def roll_back_to(self, name: str, end: End, pick: int, by_number: bool) -> None:
        known = self.models[name].by_seq()[::-1]
        entry = known[min(pick, len(known) - 1)] if known else None
        word = "1" if entry is None else str(entry.seq) if by_number else entry.release
        self._rollback(name, word, False, end)

    @rule(name=names, pick=st.integers(0, 9), end=ends)
    def type_it_again(self, name: str, pick: int, end: End) -> None:
        """Repeats a command with its id, as a client does that lost contact."""
        answers = self.models[name].answers
        opened = self.host.picture(name).open
        known = [*answers, *([opened[0]["id"]] if opened else [])]
        if not known or name in self.half_gone:
            return
        story = known[-1 - pick % len(known)]
        is_rollback = (answers[story].command if story in answers else opened[0]["what"]) == "rollback"
        before = self.host.tree() if name not in self.untidy else None
        fuse_end = end if before is None else None
        command = self._typed_rollback(name, None, story) if is_rollback else self._typed_deploy(name, "well-1", story)
        self._run(name, command, lambda model, picture: model.again(story), fuse_end)
        assert before in (None, self.host.tree()), "a command that was done before has changed something"

    @rule(name=names, end=ends)
    def destroy(self, name: str, end: End) -> None:
        if not self.models[name].entries and name not in self.half_gone:
            return
        count, cut = end if isinstance(end, tuple) else (end, None)
        try:
            self.host.destroy(name, Fuse(count))
            self._gone(name)
        except HostError as error:
            assert error.code == "not_there" and name in self.half_gone
            self._gone(name)
        except Killed:
            COUNTED["killed"] += 1
            self.half_gone.add(name)
            if cut:
                self._lose_power(cut, None)

    # the events

    @rule(name=names, color=st.sampled_from(COLORS))
    def program_ends(self, name: str, color: str) -> None:
        self.host.programs.running.pop((name, color), None)
        self.touched.add(name)
        picture, model = self.host.picture(name), self.models[name]
        model.up = model.up and picture.live_runs

    @rule(cut=st.one_of(st.none(), cuts), again=st.one_of(st.none(), st.none(), st.tuples(st.integers(1, 20), cuts)))
    def machine_goes_down(self, cut: Cut | None, again: Interruption) -> None:
        """The machine goes down by a power cut or in good order, and maybe once more during the recovery."""
        if cut is None:
            self.host.shut_down()
            self.unsynced = {name: [] for name in APPS}
            self._boot(again)
        else:
            self._lose_power(cut, again)

    # the checks

    @invariant()
    def one_release_serves(self) -> None:
        for name in getattr(self, "models", ()):
            if name not in self.half_gone:
                self._serves(name)
            if name in self.touched - self.half_gone:
                self._reports_truly(name)
        self.touched = set()

    def _serves(self, name: str) -> None:
        model, picture = self.models[name], self.host.picture(name)
        assert picture.live_release == model.live, f"{name}: {picture.live_release} is live, not {model.live}"
        assert model.needed(picture) <= picture.stored, f"{name}: pruned: {model.needed(picture) - picture.stored}"
        if picture.live and model.live:
            entry = model.entries[model.live]
            _same("what nginx asks", self.host.nginx_asks(name), picture.live)
            _same("the bytes", self.host.version(name, model.live), entry.version)
            assert not entry.sick, f"{model.live} is sick"
            assert picture.live_runs or not model.up, f"{name}: {model.live} does not run"

    def _reports_truly(self, name: str) -> None:
        model, picture, app = self.models[name], self.host.picture(name), self.host.app(name)
        report, rows = status(app), list_releases(app).releases
        back = model.back()
        _same("status", (report.live, report.previous), (picture.live, back.release if back else None))
        _same("status, colors", {color: row.release for color, row in report.colors.items()}, picture.holds)
        known = [(e.release, e.outcome, e.release == model.live) for e in reversed(model.by_seq())]
        _same("releases", [(row.release, row.outcome, row.live) for row in rows], known)
        _same("stored", {row.release for row in rows if row.stored}, picture.stored & set(model.entries))
        last = model.answers.get(model.last or "")
        reported = (report.last.command, report.last.release, report.last.outcome) if report.last else None
        _same(
            "last",
            reported,
            (last.command, last.release, last.outcome) if last else None,
        )

    # the helpers

    def _deploy(self, name: str, version: str, dies: bool, end: End) -> None:
        self.host.set_up(name)
        if name in self.half_gone:
            return self._start_anew(name, version)
        story = self._story()
        command = self._typed_deploy(name, version, story)
        return self._run(name, command, lambda model, picture: model.deploy(story, version, dies, picture), end, dies)

    def _rollback(self, name: str, word: str | None, dies: bool, end: End) -> None:
        if name in self.half_gone or (self.models[name].live is None and self.stories % 4):
            return
        story, target = self._story(), self._in_sight(name, word)
        command = self._typed_rollback(name, word, story)
        recovered = partial(Model.recovered, rollback_to=target)
        expected = partial(Model.rollback, story=story, word=word, dies=dies, in_sight=target)
        self._run(name, command, lambda model, picture: expected(model, picture=picture), end, dies, recover=recovered)

    def _in_sight(self, name: str, word: str | None) -> str | None:
        """The release that the rollback goes to, chosen before the recovery of what was interrupted."""
        model, picture = self.models[name], self.host.picture(name)
        story = picture.open
        release = story[0].get("release") if story else None
        was_live = any(line["event"] in ("switched", "rolled_back") for line in story)
        if word is None and was_live and model.live != release:
            return model.live
        target = model.back() if word is None else model.named(word)
        return target.release if target else None

    def _start_anew(self, name: str, version: str) -> None:
        """Deploys after an interrupted destroy.

        What is still known from before may differ, so destroy finishes first.
        """
        result = self.host.deploy(name, version.replace("sick", "well").replace("lies", "well"), self._story(), Fuse())
        assert result.outcome in ("live", "unchanged")
        self.host.destroy(name, Fuse())
        self._gone(name)

    def _typed_deploy(self, name: str, version: str, story: str) -> Callable[[Fuse], Result]:
        return lambda fuse: self.host.deploy(name, version, story, fuse)

    def _typed_rollback(self, name: str, word: str | None, story: str) -> Callable[[Fuse], Result]:
        return lambda fuse: self.host.rollback(name, word, story, fuse)

    def _story(self) -> str:
        self.stories += 1
        return f"story-{self.stories}"

    def _run(
        self,
        name: str,
        command: Callable[[Fuse], Result],
        expect: Callable[[Model, Picture], Answer],
        end: End,
        dies: bool = False,
        *,
        recover: Callable[[Model, Picture], None] = Model.recovered,
    ) -> None:
        """Runs a command to its end, or to the act at which it is killed or the power fails."""
        self.touched.add(name)
        count, cut = end if isinstance(end, tuple) else (end, None)
        before, picture = self.models[name], self.host.picture(name)
        recovered = copy.deepcopy(before)
        recover(recovered, picture)
        after = copy.deepcopy(recovered)
        was, stood = copy.deepcopy(picture), picture.live_runs
        expected = expect(after, picture)
        self.host.dies = dies
        COUNTED["commands"] += 1
        try:
            answer, message = _answered(command, Fuse(count))
        except Killed:
            self._interrupted(name, [before, recovered, after], cut, dies)
            return
        finally:
            self.host.dies = False
        assert (answer.code, answer.release) == (expected.code, expected.release), (
            f"{answer} instead of {expected}: {message}"
        )
        COUNTED[answer.code] += 1
        self._ended(name, after)
        if answer.code == "live" and stood and self.host.previous_running:
            assert self.host.picture(name).runs[str(was.live)] == was.live_release, "there is no standby to go back to"

    def _ended(self, name: str, model: Model) -> None:
        self.models[name], self.unsynced[name] = model, []
        self.untidy.discard(name)
        assert not self._pending(name), "a command has ended, and a release waits for its end"
        _same("the open story", self.host.picture(name).open, [])
        home = self.host.app(name).paths.home
        hidden = [path for path in home.rglob(".*") if not path.name.startswith(".upload-")]
        assert hidden == [], f"left behind: {hidden}"
        self._look_at_stored(name)

    def _pending(self, name: str) -> bool:
        return any(row["outcome"] == "pending" for row in self.host.picture(name).records.values())

    def _look_at_stored(self, name: str) -> None:
        model, picture = self.models[name], self.host.picture(name)
        assert model.needed(picture) <= picture.stored, f"pruned: {model.needed(picture) - picture.stored}"
        model.stored &= picture.stored

    def _interrupted(self, name: str, models: list[Model], cut: Cut | None, dies: bool = False) -> None:
        COUNTED["killed"] += 1
        self.unsynced[name] += models
        self.untidy.add(name)
        if cut is None:
            self._found(name, self.unsynced[name])
            self._still_runs(name, models[0], dies)
        else:
            self._lose_power(cut, None)

    def _still_runs(self, name: str, before: Model, dies: bool) -> None:
        """Whether the program still runs.

        The kill of a command kills no program, but a program may die before, or in the watch.
        """
        model = self.models[name]
        was_dead = model.live == before.live and not before.up
        assert model.live is None or model.up or was_dead or dies, f"{model.live} does not run any more"

    def _found(self, name: str, models: list[Model]) -> None:
        """Checks that the state found is the old or the new one. The model continues with it."""
        picture, merged = self.host.picture(name), together(models)
        fresh = merged.entries.keys() - models[0].entries.keys()
        aimed_at = {line.get("release") for line in picture.open}
        may_serve = {model.live for model in models} | {
            entry.release for entry in merged.entries.values() if entry.release in aimed_at and not entry.sick
        }
        assert picture.live_release in may_serve, f"{picture.live_release} is live, not one of {may_serve}"
        merged.live, merged.up = picture.live_release, picture.live_runs
        for release in list(merged.entries):
            self._as_recorded(release, models, picture, merged, release in fresh)
        merged.answers = {story: answer for story, answer in merged.answers.items() if _has_ended(story, picture)}
        ends = [line["id"] for line in picture.journal if line["event"] == "end"]
        merged.last = ends[-1] if ends else None
        merged.stored = picture.stored & set(merged.entries)
        self.models[name] = merged

    def _as_recorded(self, release: str, models: list[Model], picture: Picture, model: Model, fresh: bool) -> None:
        row = picture.records.get(release)
        if row is None:
            assert fresh, f"the record of {release} is lost"
            del model.entries[release]
            return
        allowed = {m.entries[release].outcome for m in models if release in m.entries}
        allowed |= {"pending"} if fresh else set()
        now = row["outcome"]
        assert now in allowed, f"{release} is written down as {now}, not one of {allowed}"
        model.entries[release].outcome = now

    def _lose_power(self, cut: Cut, again: Interruption) -> None:
        COUNTED["power cuts"] += 1
        self.host.lose_power(cut)
        for name, model in list(self.models.items()):
            if name not in self.half_gone:
                self._found(name, [*self.unsynced[name], model])
                self.unsynced[name] = []
        self._boot(again)

    def _boot(self, again: Interruption) -> None:
        COUNTED["boots"] += 1
        self.host.boot()
        self.touched |= set(APPS)
        whole = {name: model for name, model in self.models.items() if name not in self.half_gone}
        for name, model in whole.items():
            model.up = self.host.picture(name).live_runs
            assert model.up or not self.host.server or model.live is None, f"{model.live} does not come back at boot"
        if self.host.server:
            for name in whole:
                self._recover(name, again)

    def _recover(self, name: str, again: Interruption) -> None:
        model, picture = self.models[name], self.host.picture(name)
        recovered = copy.deepcopy(model)
        if picture.open:
            recovered.recovered(picture)
        try:
            self.host.recover(name, Fuse(again[0] if again else None))
            self.models[name] = recovered
        except Killed:
            self._interrupted(name, [model, recovered], again[1] if again else None)

    def _gone(self, name: str) -> None:
        COUNTED["destroyed"] += 1
        self.half_gone.discard(name)
        self.untidy.discard(name)
        self.models[name], self.unsynced[name] = Model(), []
        paths = self.host.app(name).paths
        assert not paths.home.exists() and not paths.agreed.exists() and not paths.data.exists()


def _answered(command: Callable[[Fuse], Result], fuse: Fuse) -> tuple[Answer, str]:
    try:
        result = command(fuse)
        return Answer("", None, result.outcome, result.release), ""
    except HostError as error:
        return Answer("", None, error.code, error.release), error.message


def _same(what: str, actual: object, expected: object) -> None:
    assert actual == expected, f"{what}: {actual} instead of {expected}"


def together(models: list[Model]) -> Model:
    """The releases that either model knows."""
    merged = copy.deepcopy(models[-1])
    for model in models[::-1]:
        merged.entries = {**copy.deepcopy(model.entries), **merged.entries}
        merged.answers = {**model.answers, **merged.answers}
    return merged


def _has_ended(story: str, picture: Picture) -> bool:
    return any(line["event"] in ("end", "unchanged") and line["id"] == story for line in picture.journal)
