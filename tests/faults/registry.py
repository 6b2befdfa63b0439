"""Which faults there are, how each is made, what must hold, how much is allowed, and which tests show it.

Owns the catalogue's rows and nothing that runs. `python -m tests.faults` runs the tests named here and prints the table; `report.py`
writes it into docs/reliability.md. A test stands here by its file and its function; where only one of its cases belongs to a row, with
that case in brackets. Numbers are those of the catalogue: what is missing between them concerns replicas, clusters and networks, which
Tocsin does not follow (docs/reliability.md says so).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WANTED: Final = (*range(1, 21), *range(25, 37), *range(39, 47), *range(48, 51))
"""The rows that must be shown."""

STORE = "tests/store"
SERVICES = "tests/services"
KILL = "tests/e2e/test_kill.py::test_killing_a_process_while_it_works_loses_nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. `bound` is the figure that is allowed, in the catalogue's words."""

    number: int
    fault: str
    injection: str
    invariant: str
    bound: str
    tests: tuple[str, ...]


ROWS: Final = (
    Row(
        1,
        "store killed under load, 100 times",
        "SIGKILL",
        "all that was answered is there, once; the store is whole",
        "answered and missing 0",
        ("tests/faults/test_store_killed.py::test_a_store_killed_under_load_loses_nothing_that_was_answered", f"{KILL}[store]"),
    ),
    Row(
        2,
        "power cut",
        "our library records syncs; files are cut back to the last one",
        "as 1",
        "answered and missing 0",
        ("tests/faults/test_store_killed.py::test_a_power_cut_loses_nothing_that_was_answered",),
    ),
    Row(
        3,
        "store killed while it rewrites its log",
        "SIGKILL while BGREWRITEAOF is asked for all the time",
        "as 1",
        "answered and missing 0",
        ("tests/faults/test_store_killed.py::test_a_store_killed_while_it_rewrites_its_log_loses_nothing_that_was_answered",),
    ),
    Row(
        4,
        "log cut at every byte of its last two records",
        "edit the file, load it again",
        "a script's effects are there whole or not at all",
        "partial states 0",
        ("tests/faults/test_log_cut.py::test_a_log_cut_at_any_byte_of_its_last_two_records_holds_whole_scripts",),
    ),
    Row(
        5,
        "a tail of NUL bytes",
        "edit the file",
        "starts after repairing itself, with a copy of what was there",
        "starts; bytes cut are told",
        (
            f"{STORE}/test_server.py::test_a_tail_of_nul_bytes_is_cut_and_copied",
            f"{STORE}/test_server.py::test_a_transaction_cut_off_by_a_power_failure_is_dropped_whole",
        ),
    ),
    Row(
        6,
        "a byte changed on disk",
        "edit the file",
        "the chain of the history finds it",
        "found 100 %",
        (
            f"{STORE}/test_history.py::test_a_byte_changed_on_disk_is_found",
            f"{STORE}/test_roster.py::test_whoever_edits_the_history_is_found_out",
        ),
    ),
    Row(
        7,
        "a sync takes 1.5 s",
        "our library",
        "nothing answered is lost; intake is slow or 503",
        "lost 0",
        ("tests/faults/test_disk.py::test_a_disk_that_syncs_slowly_makes_answers_late_and_loses_nothing",),
    ),
    Row(
        8,
        "a sync fails (EIO)",
        "our library",
        "the store ends, nothing answered is lost, the supervisor says so",
        "lost 0",
        ("tests/faults/test_disk.py::test_a_disk_that_fails_a_sync_ends_the_store_and_nothing_that_was_answered_is_lost",),
    ),
    Row(
        9,
        "disk full",
        "a small tmpfs (root)",
        "503 at the intake, acknowledgements to the end",
        "lost 0; a death of the store each 5 s at most once it stays full",
        (
            "tests/faults/test_disk.py::test_a_full_disk_refuses_alerts_and_acknowledgements_go_on",
            "tests/faults/test_disk.py::test_a_disk_that_stays_full_does_not_make_the_store_restart_in_a_fury",
        ),
    ),
    Row(
        10,
        "memory full",
        "a small maxmemory",
        "503 at the intake; acknowledgements, timers and pages go on",
        "acknowledgements that fail 0",
        (
            "tests/deploy/test_failures.py::test_a_full_store_refuses_alerts_while_the_ladder_and_answers_go_on",
            f"{STORE}/test_commit.py::test_a_full_store_refuses_alerts_and_nothing_else",
            f"{SERVICES}/test_correlator.py::test_a_full_store_is_emptied_by_folding",
            "tests/ingest/test_intake.py::test_a_full_store_is_503_until_there_is_room",
        ),
    ),
    Row(
        11,
        "a log of a gigabyte",
        "write it, SIGKILL",
        "ready without being killed",
        "30 s",
        (
            "tests/faults/test_store_stalled.py::test_a_log_of_a_gigabyte_is_loaded_without_being_killed",
            f"{STORE}/test_server.py::test_the_start_waits_while_the_log_loads",
        ),
    ),
    Row(
        12,
        "a second server on the directory",
        "start twice",
        "refused by our lock, naming the holder",
        "second servers 0",
        (
            f"{STORE}/test_server.py::test_a_second_start_on_the_directory_is_refused_naming_the_holder",
            "tests/runtime/test_supervisor.py::test_a_second_supervisor_on_the_same_directory_is_refused",
        ),
    ),
    Row(
        13,
        "parent killed",
        "SIGKILL",
        "the orphan ends or is adopted",
        "double servers 0",
        (
            f"{STORE}/test_server.py::test_a_server_ends_with_its_killed_launcher_and_the_next_start_replaces_it",
            f"{STORE}/test_server.py::test_a_server_that_outlived_its_launcher_is_adopted",
            "tests/runtime/test_supervisor.py::test_roles_and_store_end_with_a_supervisor_that_is_killed",
            f"{KILL}[supervisor]",
        ),
    ),
    Row(
        14,
        "store hung for 30 s",
        "SIGSTOP",
        "every request is answered 503",
        "2.5 s a request, and slack",
        ("tests/faults/test_store_stalled.py::test_while_the_store_hangs_every_request_is_answered_503_in_time",),
    ),
    Row(
        15,
        "store away for ten minutes",
        "a proxy before it that cuts; time is told",
        "late and complete, one page a person; the emergency contacts hear of it",
        "rungs lost 0; blind page after 60 s",
        (
            "tests/faults/test_store_stalled.py::test_after_ten_minutes_without_a_store_everything_that_fell_due_is_paged_late_and_once",
            f"{SERVICES}/test_emergency.py::test_a_store_away_for_a_minute_pages_the_emergency_contacts_and_again_later",
        ),
    ),
    Row(
        16,
        "answer lost after the commit",
        "a proxy that drops it",
        "everything may be asked again",
        "duplicates 0",
        (
            f"{SERVICES}/test_recovery.py::test_answers_lost_at_random_lose_and_double_nothing",
            f"{SERVICES}/test_recovery.py::test_an_outcome_whose_record_was_not_answered_counts_once",
            f"{STORE}/test_commit.py::test_a_lost_answer_leaves_a_whole_commit_that_cannot_be_made_twice",
            f"{SERVICES}/test_paging_faults.py::test_F14_after_a_crash_behind_any_single_write_every_open_incident_has_an_owner",
        ),
    ),
    Row(
        17,
        "answers byte by byte",
        "a proxy",
        "right answers",
        "wrong 0 of 10,000",
        ("tests/faults/test_wire.py::test_answers_that_come_byte_by_byte_are_the_right_ones",),
    ),
    Row(
        18,
        "an answer that nobody asked for",
        "a proxy",
        "right answers",
        "wrong 0",
        ("tests/faults/test_wire.py::test_an_answer_that_nobody_asked_for_shifts_no_other",),
    ),
    Row(
        19,
        "calls cancelled at random",
        "the test",
        "right answers, nothing left behind",
        "wrong 0, leaked 0, stop within 10 s",
        (
            "tests/faults/test_wire.py::test_calls_cancelled_at_any_moment_leave_right_answers_and_no_connection_behind",
            f"{STORE}/test_connection.py::test_a_cancelled_command_ends_as_cancelled_whenever_the_cancellation_comes",
        ),
    ),
    Row(
        20,
        "scripts forgotten",
        "SCRIPT FLUSH all the time",
        "works",
        "failed calls 0",
        (
            "tests/faults/test_wire.py::test_scripts_that_are_forgotten_all_the_time_fail_no_call",
            f"{STORE}/test_commit.py::test_scripts_that_the_server_forgot_are_given_to_it_again",
        ),
    ),
    Row(
        25,
        "notifier killed while it sends",
        "SIGKILL while the receiver holds the answer",
        "no rung missed",
        "copies at most 1 + kills",
        (
            f"{KILL}[notifier]",
            f"{SERVICES}/test_recovery.py::test_a_notifier_that_dies_between_begin_and_record_leaves_its_page_to_the_next",
        ),
    ),
    Row(
        26,
        "notifier frozen for 60 s, then awake",
        "SIGSTOP, another one starts, SIGCONT",
        "the fence refuses what it records",
        "stale writes 0; late sends counted",
        (
            "tests/faults/test_frozen_roles.py::test_a_notifier_that_was_frozen_in_a_send_records_nothing_when_it_wakes_up",
            f"{SERVICES}/test_recovery.py::test_a_frozen_notifier_that_wakes_up_changes_nothing",
        ),
    ),
    Row(
        27,
        "correlator killed, or frozen",
        "SIGKILL; SIGSTOP",
        "no alert lost, no incident twice",
        "double incidents 0; taken over in 5 s, and slack",
        (
            f"{KILL}[correlator]",
            "tests/faults/test_frozen_roles.py::test_a_correlator_that_was_frozen_opens_nothing_twice_when_it_wakes_up",
        ),
    ),
    Row(
        28,
        "two correlators",
        "a second one takes over",
        "the fence: the older is refused, effects happen once",
        "refused > 0",
        (
            f"{SERVICES}/test_correlator.py::test_the_older_of_two_correlators_is_refused_and_effects_happen_once",
            "tests/deploy/test_failures.py::test_a_second_correlator_shuts_the_first_one_out",
        ),
    ),
    Row(
        29,
        "ingest killed in a request",
        "SIGKILL",
        "2xx means stored",
        "lost 0",
        (
            f"{KILL}[ingest]",
            "tests/ingest/test_ingest_process.py::test_every_alert_answered_before_the_store_was_killed_is_there_afterwards",
        ),
    ),
    Row(
        30,
        "clock an hour ahead",
        "our library, store and roles",
        "held for a minute, then one page a person",
        "pages beyond those due by true time 0",
        (
            "tests/faults/test_clock_steps.py::test_a_clock_an_hour_ahead_is_held_for_a_minute_and_then_each_person_is_paged_once",
            "tests/runtime/test_clock.py::test_a_jump_forwards_is_held_for_a_minute_and_then_believed",
        ),
    ),
    Row(
        31,
        "clock an hour behind",
        "our library, store and roles",
        "rungs come by true time",
        "no rung later than 60 s",
        (
            "tests/faults/test_clock_steps.py::test_a_clock_an_hour_behind_delays_no_rung",
            "tests/runtime/test_clock.py::test_after_a_large_step_back_time_goes_on_by_progress_and_the_jump_is_told_once",
        ),
    ),
    Row(
        32,
        "clocks change, both ways, every zone",
        "times are told",
        "hand-overs at the right instant",
        "wrong persons 0",
        (
            "tests/policy/test_oncall_differential.py::test_F8_F9_L1_every_change_of_every_zone_is_as_counted_by_hand_for_a_usual_schedule",
            "tests/policy/test_oncall.py::test_the_hand_over_stays_at_nine_whatever_the_clocks_do",
            "tests/policy/test_calendar.py::test_every_wall_time_around_every_change_of_every_zone_is_the_instant_that_whenever_says",
        ),
    ),
    Row(
        33,
        "provider accepts and does not answer",
        "the receiver cuts, or never answers",
        "copies are bounded, then another contact",
        "copies at most 3",
        (
            f"{SERVICES}/test_provider_faults.py::test_with_a_faulty_provider_a_person_is_reached_by_another_contact_within_two_minutes[one-server-cut]",
            f"{SERVICES}/test_notifier.py::test_three_attempts_without_an_answer_change_the_channel",
        ),
    ),
    Row(
        34,
        "provider answers 429, 500, 400",
        "the receiver",
        "tried again when it says, another contact, given up",
        "120 s to another contact",
        (
            f"{SERVICES}/test_provider_faults.py::test_with_a_faulty_provider_a_person_is_reached_by_another_contact_within_two_minutes",
            f"{SERVICES}/test_provider_faults.py::test_retry_after_pauses_the_whole_account_and_then_everything_goes",
            f"{SERVICES}/test_notifier.py::test_a_refusal_brings_the_next_contact_at_once",
        ),
    ),
    Row(
        35,
        "provider answers a byte a second",
        "a stand-in",
        "others are not affected",
        "p99 of others as without it",
        (
            "tests/faults/test_storm.py::test_a_provider_that_answers_a_byte_a_second_delays_no_other",
            f"{SERVICES}/test_provider_faults.py::test_a_hanging_provider_takes_no_more_than_its_share_and_delays_nobody_else",
        ),
    ),
    Row(
        36,
        "channel down for an hour",
        "the receiver is stopped; time is told",
        "another contact; used again afterwards",
        "120 s",
        (
            f"{SERVICES}/test_provider_faults.py::test_with_a_faulty_provider_a_person_is_reached_by_another_contact_within_two_minutes[one-server-down]",
            f"{SERVICES}/test_provider_faults.py::test_a_crowd_over_a_faulty_provider_is_reached_and_the_provider_is_spared",
            f"{SERVICES}/test_provider_faults.py::test_after_an_hour_down_a_provider_is_used_again_and_nobody_was_told_twice_by_it",
        ),
    ),
    Row(
        39,
        "a storm of 50,000 alerts in a minute",
        "load",
        "severity 1 and acknowledgements stay quick",
        "acknowledgement p99 200 ms (600 ms on a shared machine); lost 0",
        ("tests/faults/test_storm.py::test_beside_a_storm_pages_and_acknowledgements_stay_quick",),
    ),
    Row(
        40,
        "the same incident acknowledged a thousand times",
        "load",
        "one effect",
        "history entries 1",
        (f"{SERVICES}/test_races.py::test_a_thousand_acknowledgements_of_one_incident_are_one",),
    ),
    Row(
        41,
        "an acknowledgement races with the page",
        "10,000 races, ordered by the store's own log",
        "nothing begins after the acknowledgement",
        "late begins 0",
        (f"{SERVICES}/test_races.py::test_no_send_begins_after_its_acknowledgement_was_answered",),
    ),
    Row(
        42,
        "webhooks twice, late, replayed",
        "load",
        "no incident more; old news reopens nothing",
        "extra incidents 0",
        (
            "tests/faults/test_repeated_and_stopped.py::test_webhooks_that_come_again_late_and_out_of_order_make_no_incident_more",
            "tests/policy/test_fold.py::test_a_firing_of_an_older_episode_just_after_it_cleared_is_late",
            "tests/e2e/test_alertmanager.py::test_two_alertmanagers_that_both_deliver_make_one_incident_and_one_page_per_rung",
        ),
    ),
    Row(
        43,
        "one bad alert among 500",
        "a body",
        "499 are taken, one incident says what cannot be read",
        "dropped 0",
        ("tests/ingest/test_bad_input.py::test_one_bad_alert_among_500_becomes_an_incident_and_a_dead_letter",),
    ),
    Row(
        44,
        "hostile bodies",
        "gzip bomb, depth, surrogates, NaN, NUL, huge numbers, 10 MB label",
        "never 500; memory bounded",
        "5xx 0; 50 MB, 70 with what the allocator keeps",
        (
            "tests/ingest/test_ingest_process.py::test_no_bad_input_ends_or_swells_the_process",
            "tests/ingest/test_bad_input.py::test_a_body_that_cannot_be_read_is_a_clear_4xx",
            "tests/ingest/test_bad_input.py::test_one_bad_alert_does_not_spoil_the_others",
            "tests/ingest/test_bad_input.py::test_a_label_of_ten_megabytes_is_cut",
        ),
    ),
    Row(
        45,
        "2,000 silent or dribbling connections",
        "sockets",
        "the intake goes on; they are closed",
        "closed 15 s after they were made, and slack",
        (
            "tests/faults/test_storm.py::test_silent_and_dribbling_connections_are_closed_and_delay_nobody",
            "tests/ingest/test_ingest_process.py::test_a_sender_that_stops_half_way_is_let_go",
        ),
    ),
    Row(
        46,
        "1,000,000 label sets",
        "load",
        "metrics stay small",
        "1 MB; 200 ms a scrape (600 ms on a shared machine)",
        ("tests/faults/test_storm.py::test_a_million_label_sets_do_not_swell_the_metrics",),
    ),
    Row(
        48,
        "each role told to stop under load",
        "SIGTERM",
        "nothing lost, nothing doubled",
        "15 s; duplicates 0",
        (
            "tests/faults/test_repeated_and_stopped.py::test_every_role_stops_in_time_under_load_and_nothing_is_lost_or_doubled",
            "tests/e2e/test_operations.py::test_a_stop_under_load_takes_less_than_15_s_and_loses_and_doubles_nothing",
        ),
    ),
    Row(
        49,
        "link scanners",
        "GET, HEAD, prefetch, OPTIONS of every link",
        "nothing changes",
        "acknowledgements 0",
        (
            "tests/console/test_answer_page.py::test_looking_never_acts",
            "tests/console/test_answer_page.py::test_another_site_cannot_make_a_browser_answer",
            "tests/console/test_answer_page.py::test_the_page_forbids_scripts_frames_and_caches",
        ),
    ),
    Row(
        50,
        "secrets",
        "canaries in rules, keys, tokens",
        "in no log, error, metric, page or answer",
        "hits 0",
        ("tests/e2e/test_limits.py::test_no_secret_is_in_a_log_a_metric_or_an_answer",),
    ),
)
