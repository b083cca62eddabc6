"""The table of breaks: the change of the source, the test that must fail, and the words that the failure must contain.

Each break is an exact change of the real source: a mistake that somebody could make, or that another tool has made.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """One place of `src`, found by its text."""

    file: str
    old: str
    new: str

    def apply(self, src: Path) -> None:
        path = src / self.file
        text = path.read_text()
        assert text.count(self.old) == 1, f"{self.file} has {text.count(self.old)} places with {self.old!r}, not one"
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Break:
    """`description`: what a person would call the break; `shows`: a regular expression that matches the failure of
    `test`.
    """

    name: str
    description: str
    edits: tuple[Edit, ...]
    test: str
    shows: str


TURN = "files.turn_link(app.paths.live, color)"

BREAKS: tuple[Break, ...] = (
    Break(
        "no fsync of the directory",
        "the turn of the link is not made durable: the fsync of its directory is missing",
        (
            Edit(
                "teal_host/ground/files.py",
                "    beside.rename(link)\n    sync_dir(link.parent)\n",
                "    beside.rename(link)\n",
            ),
        ),
        "tests/power/test_power_loss.py::test_disk_is_recovered_after_a_power_cut_at_any_act[rollback]",
        r"after the answer, .*live is 'two'",
    ),
    Break(
        "unlink before symlink",
        "the live link is removed and made anew instead of being replaced in one rename",
        (
            Edit(
                "teal_host/ground/files.py",
                "    beside.rename(link)\n",
                "    beside.unlink()\n    link.unlink(missing_ok=True)\n    link.symlink_to(target)\n",
            ),
        ),
        "tests/power/test_power_loss.py::test_disk_is_recovered_after_a_power_cut_at_any_act[rollback]",
        r"after unlink .*/live, .*live is None",
    ),
    Break(
        "reload instead of the link",
        "the color stands in nginx's own file, by an include, and nginx is reloaded at each switch",
        (
            Edit(
                "teal_host/proxies/nginx/server.py",
                "if (-f ${marker}) { set $$teal_color green; }",
                "include ${marker};",
            ),
            Edit(
                "teal_host/proxies/nginx/server.py",
                'quoted(site.route.live / "green")',
                "f'\"{site.route.live}/[g]reen\"'",
            ),
            Edit(
                "teal_host/state/slots.py",
                'files.write(slot_paths.marker, "")',
                'files.write(slot_paths.marker, "set $teal_color green;")',
            ),
            Edit("teal_host/steps/switch.py", TURN, f"{TURN}\n    app.host.proxy._reload()"),
        ),
        "tests/load/test_load.py::test_deploy_and_rollback_lose_nothing[quick]",
        r"Verdict\(requests=\d+, lost=[1-9]",
    ),
    Break(
        "old color stopped at the switch",
        "the old color is stopped right after the switch, with the work that it still has",
        (
            Edit(
                "teal_host/steps/cutover.py",
                '            app.journal.write("switched", cutover.story_id, to=candidate.color)\n',
                '            app.journal.write("switched", cutover.story_id, to=candidate.color)\n'
                "            if cutover.standby:\n"
                "                app.host.supervisor.stop(cutover.standby.slot_paths, STOP_GRACE_S)\n",
            ),
        ),
        "tests/local/test_drain.py::test_drain_keeps_a_stream_open_until_its_color_is_reused_and_then_reports_the_cut",
        r"AssertionError: the switch cuts nothing",
    ),
    Break(
        "exit code 0 on turn back",
        "a deploy that was rolled back ends with exit code 0",
        (Edit("teal_host/wire/outcomes.py", '"rolled_back": (7, "rolled_back")', '"rolled_back": (0, "rolled_back")'),),
        "tests/contract/test_exit_codes.py::test_exit_code_matches_the_outcome_of_a_command[7 sick in the watch]",
        r"AssertionError: Ended\(code=0,(.|\n)*assert 0 == 7",
    ),
    Break(
        "no fsync after a write",
        "a file that was replaced is not made durable: the fsync of its directory is missing",
        (
            Edit(
                "teal_host/ground/files.py",
                "    beside.rename(path)\n    sync_dir(path.parent)\n",
                "    beside.rename(path)\n",
            ),
        ),
        "tests/power/test_power_loss.py::test_disk_is_recovered_after_a_power_cut_at_any_act[rollback]",
        r"after the answer, .*AssertionError: assert \(",
    ),
    Break(
        "link not turned",
        "the live link stays where it is once there is one",
        (Edit("teal_host/steps/switch.py", TURN, f"if not app.paths.live.is_symlink():\n        {TURN}"),),
        "tests/local/test_story.py::test_deploys_go_live_on_blue_then_green_and_a_rollback_returns_to_blue",
        r"exit 7(.|\n)*nginx asked 127\.0\.0\.1:\d+, not green",
    ),
    Break(
        "no proof through nginx",
        "after the switch nobody asks through nginx whether it shows the new color, and as it should",
        (
            Edit(
                "teal_host/steps/switch.py",
                "    if not judgement.well:\n        kind =",
                "    if False:\n        kind =",
            ),
        ),
        "tests/local/test_watch.py::test_verify_rolls_back_without_a_lost_request_when_nginx_delivers_a_wrong_answer",
        r"\(0, 'live', 'green'\) == \(7, 'rolled_back', 'green'\)",
    ),
    Break(
        "upload not hashed",
        "what has arrived is not compared with the hash that was announced",
        (Edit("teal_host/steps/release.py", "    if seen.hexdigest() != entry.sha256:\n", "    if False:\n"),),
        "tests/host/test_hostile_artifacts.py::"
        "test_hostile_upload_stream_is_refused_whole[a name of the one, bytes of the other]",
        r"assert 'arrived changed' in",
    ),
    Break(
        "anybody's socket",
        "a healthy answer counts from whoever listens on the port",
        (
            Edit(
                "teal_host/steps/health.py",
                "foreign = [socket for socket in listening if socket.inode not in inodes]",
                "foreign: List[sockets.Socket] = []",
            ),
        ),
        "tests/local/test_health.py::test_stranger_gets_no_traffic_when_it_takes_the_candidate_port_and_answers_200[127.0.0.1]",
        r"assert 7 == 6",  # the question for strangers after the switch still finds it
    ),
    Break(
        "answer not stored",
        "how a command ended is not kept, so one that comes again cannot be told",
        (Edit("teal_host/steps/idempotency.py", "**brief, answer=stored)", "**brief)"),),
        "tests/power/test_repeated_commands.py::test_repeated_command_that_went_live_gets_its_result_and_changes_nothing",
        r"its result was not recorded",
    ),
    Break(
        "done again",
        "a command that comes again with its id is done once more",
        (Edit("teal_host/steps/idempotency.py", "    if not app.journal.has(story):\n", "    if True:\n"),),
        "tests/power/test_repeated_commands.py::test_repeated_command_that_went_live_gets_its_result_and_changes_nothing",
        r"Result\(outcome='unchanged', .* != Result\(outcome='live', ",
    ),
    Break(
        "no recovery",
        "a deploy does not clean up what was interrupted before it",
        (Edit("teal_host/stories/deploy.py", "        recover.recover(app)\n", ""),),
        "tests/power/test_repeated_commands.py::test_repeated_deploy_that_was_interrupted_tells_how_it_was_recovered",
        r"assert 'config' == 'cancelled'",
    ),
    Break(
        "lock not held",
        "two commands change an app at the same time",
        (Edit("teal_host/ground/lock.py", "        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", ""),),
        "tests/host/test_lock.py::test_lock_tells_the_second_comer_who_holds_it_for_what_and_since_when",
        r"DID NOT RAISE.*Locked",
    ),
    # Faults that users found, put back.
    Break(
        "drain of one port",
        "only connections of the app's own port count as work, so nothing is drained over HTTPS",
        (
            Edit(
                "teal_host/proxies/nginx/listeners.py",
                "    if master is None:  # workers",
                "    if True:  # workers",
            ),
        ),
        "tests/local/test_drain.py::test_drain_waits_for_an_upload_over_any_listener_of_nginx[TLS]",
        r"there was no event .*waiting for the last work of blue",
    ),
    Break(
        "five starts in a minute",
        "systemd gives up a live release whose database is away for some seconds",
        (
            Edit(
                "teal_host/supervisors/unit_text.py",
                "StartLimitIntervalSec=0\n",
                "StartLimitIntervalSec=60\nStartLimitBurst=5\n",
            ),
        ),
        "tests/host/test_unit_text.py::"
        "test_unit_starts_a_program_again_for_ever_with_the_pauses_that_systemd_knows[252-pauses0]",
        r"StartLimitBurst=5",
    ),
    Break(
        "unreadable is absent",
        "a record that cannot be read counts as one that is not there",
        (
            Edit(
                "teal_host/state/releases.py",
                "        return UnreadableRecord(path.stem, path, error.why)\n",
                "        return error.why and None\n",
            ),
        ),
        "tests/host/test_releases.py::test_previous_release_is_an_unreadable_one_where_that_stands_in_the_way",
        r"isinstance\(Record\(|isinstance\(None",
    ),
    Break(
        "one bad answer of the standby",
        "a standby that answers badly once is not rolled back to, and not restarted",
        (
            Edit("teal_host/steps/judgement.py", "successes=1, failures=3, pause_s=0.5)", "successes=1, failures=1)"),
            Edit("teal_host/steps/rollback_traffic.py", '    if judgement.verdict != "sick" or', "    if True or"),
        ),
        "tests/local/test_watch.py::test_watch_rolls_back_onto_a_standby_that_answers_badly_once",
        r"assert \(10, 'unhealthy', 'green'\) == \(7, 'rolled_back', 'green'\)",
    ),
    Break(
        "a slow nginx is a sick release",
        "recovery rolls back a release whose route cannot be verified",
        (
            Edit(
                "teal_host/stories/recover.py", '    if judgement.verdict == "sick":\n', "    if not judgement.well:\n"
            ),
        ),
        "tests/local/test_recovery.py::"
        "test_recovery_changes_nothing_while_nginx_hangs_and_keeps_the_release_afterwards",
        r"AssertionError",
    ),
    Break(
        "no time to warm up",
        "recovery judges by the first probe, and not within the release's own deadline",
        (
            Edit(
                "teal_host/stories/recover.py",
                "patience = health.patience_of(live.spec.health)",
                "patience = Patience(1.0, failures=1)",
            ),
        ),
        "tests/local/test_recovery.py::test_recovery_keeps_a_release_that_warms_up_within_its_health_deadline",
        r"'unchanged'",
    ),
    Break(
        "short write",
        "a line that a full disk has cut counts as written",
        (
            Edit(
                "teal_host/ground/files.py",
                "    if os.write(handle, data) != len(data):\n",
                "    os.write(handle, data)\n    if False:\n",
            ),
        ),
        "tests/host/test_files.py::test_append_is_undone_when_the_disk_takes_a_part_of_the_line[one\\n]",
        r"DID NOT RAISE.*OSError|assert 'one",
    ),
    Break(
        "stopped without the drain",
        "a color is stopped, by setup and by a deploy that keeps no standby, with the work that it still has",
        (
            Edit(
                "teal_host/steps/drain.py",
                '    if step.app.host.supervisor.state(slot).state == "running":\n        _wait_until_quiet',
                "    if False:\n        _wait_until_quiet",
            ),
        ),
        "tests/local/test_drain.py::test_drain_waits_for_requests_over_every_listener_before_a_release_is_stopped",
        r"there was no event .*waiting for the last work of blue",
    ),
    Break(
        "a visitor decides",
        "the requests of one visitor roll back a release",
        (
            Edit(
                "teal_host/state/answers.py",
                "return _is_private(now) and _is_worse_for_most(now, before)",
                "return _is_worse_for_most(now, before)",
            ),
        ),
        "tests/host/test_error_rate.py::test_one_client_alone_never_makes_a_release_worse[alone]",
        r"assert not True",
    ),
    Break(
        "unreadable base",
        "an error of the disk while the base of a patch is read ends the deploy",
        (
            Edit(
                "teal_host/wire/patch.py",
                "raise CannotReadBase(str(error.strerror)) from None\n",
                "raise\n",
            ),
        ),
        "tests/host/test_upload.py::"
        "test_unreadable_file_of_an_older_release_is_named_and_the_whole_file_requested[another version]",
        r"KeyError: 'missing'",
    ),
    Break(
        "nobody gives way",
        "a rollback is refused while a deploy holds the lock",
        (Edit("teal_host/stories/rollback.py", "holder.what in _OVERTAKEN and", "False and"),),
        "tests/local/test_overtaking.py::test_rollback_overtakes_a_deploy_before_its_switch[waiting_for_health]",
        r"is at work here since",
    ),
    Break(
        "no drain after a rollback",
        "a release that is rolled back is stopped in the middle of its requests",
        (
            Edit(
                "teal_host/steps/rollback_traffic.py",
                "cutover.agreement, sick.spec.keep.drain_s)",
                "cutover.agreement, 0)",
            ),
        ),
        "tests/local/test_drain.py::test_drain_waits_for_an_upload_on_a_release_that_is_rolled_back_in_its_watch",
        r"X-Color: green",
    ),
)
