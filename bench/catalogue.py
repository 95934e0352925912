"""The figures in words and in groups: what `docs/measurements.md` shows, and the one home of those words."""

from collections.abc import Mapping
from typing import Final

SIZES: Final = {"10k": "10,000", "100k": "100,000", "1m": "1,000,000", "10m": "10,000,000"}

_LOOKUP: Final = {
    "server_ms": "private query: time of the server, without the number's evaluation",
    "client_ms": "private query: time of the client, without what it makes ahead",
    "up_kb": "bytes from the client for one lookup",
    "down_kb": "bytes to the client for one lookup",
    "cold_mb": "bytes before the first lookup",
    "cold_s": "time of the first download, checked and stored",
    "ms": "one lookup from the call to its result, on loopback",
}
_QUESTIONS: Final = {
    "closest": "who the closest contact is",
    "doctor": "which contact is the doctor",
    "source": "which contact is the source",
    "asleep": "when the person sleeps",
    "contacts": "whether somebody is a contact",
}


def _by_size() -> dict[str, str]:
    return {
        f"lookup_{size}_{cost}": f"{words}, at {records} records"
        for cost, words in _LOOKUP.items()
        for size, records in SIZES.items()
    }


def _answers(prefix: str, observer: str) -> dict[str, str]:
    return {f"{prefix}_{question}": f"{words}, answered by {observer}" for question, words in _QUESTIONS.items()}


GROUPS: Final[Mapping[str, Mapping[str, str]]] = {
    "The window": {
        "desktop_first_paint_s": "from the start of `grue desktop` to its list, above the browser's own start",
        "desktop_open_chat_ms": "a chat of 10,000 messages is opened by a click, until it is drawn",
        "desktop_key_echo_ms": "from a key to its letter on the screen",
        "desktop_send_echo_ms": "from Enter to one's own message on the screen",
        "desktop_scroll_blank": "frames with a gap, scrolling through 10,000 messages at 12,000 pixels a second",
        "desktop_jump_px": "how far the topmost message moves when older ones come or the window changes its width",
        "desktop_script_kb": "the page's script, compressed",
        "desktop_rss_mb": "memory of the window's process",
        "desktop_renderer_mb": "memory of the browser's process for the page",
    },
    "Messages": {
        "acked_per_s": "envelopes of 1 KiB that the server acknowledges in a second, each on disk",
        "acked_server_cpu_ms": "processor time of the server for one of them",
        "acked_over_nats": "as many of them as NATS acknowledges, with its files synced for each, times",
        "acked_disk_sync_us": "one `fdatasync` of the disk that they were measured on",
        "deliver_p50_ms": "from `send` to the other client's `receive`, median",
        "deliver_p99_ms": "from `send` to the other client's `receive`, 99 of 100",
        "deliver_alone_p50_ms": "acknowledgement of a post while nothing else happens, median",
        "deliver_beside_queries_p50_ms": "acknowledgement of a post beside a full queue of private queries, median",
        "queries_beside_deliver_per_s": "private queries that were answered in a second meanwhile",
        "group_128_send_ms": "send one text to a group of 128 devices, until the server has it on disk",
        "group_128_read_ms": "decrypt and store it at another member",
        "group_128_add_ms": "add somebody to a group of 128, whose tree is blank, lookup and upload included",
        "group_128_remove_ms": "remove somebody from it, the move of the mailbox included",
        "group_128_follow_ms": "follow either at another member",
        "group_state_bytes_per_message": "bytes that one message rewrites in a member's store, in a group of 512",
        "group_1000_post_s": "one text in a group of 1,000 devices, from the sender to the last reader",
        "night_500_s": "500 messages of 20 people after a night offline: opened, fetched, read and stored",
        "desktop_search_ms": "search 100,000 messages in a home, the slowest of five kinds of searches",
        "first_contact_ms": "cryptography of a first contact, both sides, two devices each",
        "mls_encrypt_us": "encrypt one message",
        "mls_decrypt_us": "decrypt one message",
        "kills_unshown": "messages that no `receive` wrote out, with thousands of kills meanwhile",
        "kills_shown_twice": "messages that were written out once more, of at most one for each kill",
        "schedules_unheard": "schedules of five people with a text that is neither shown nor called `expired`, or both",
        "idle_device_kib": "memory of the server for a device that is connected and quiet",
    },
    "Attachments": {
        "blob_put_10mb_s": "10 MB from a file to the server's disk, on loopback",
        "blob_get_10mb_s": "10 MB from the server into a file, on loopback",
        "blob_seal_mb_s": "seal on one core",
        "blob_open_mb_s": "open on one core",
    },
    "One lookup": {
        "lookup_table_ms": "one lookup of a new number in a small directory, on loopback",
        **_by_size(),
        "lookups_per_s_1m": "lookups in a second by one server, at 1,000,000 records",
        "lookups_per_s_10m": "lookups in a second by one server, at 10,000,000 records",
        "replica_gain": "processor time of an answer by the server itself, over that of passing it on to a replica",
        "replica_server_cpu_ms": "processor time of the server for a lookup that a replica answers",
        "replica_cpu_ms": "processor time of the replica for it",
        "replica_per_s": "lookups in a second by server and replica on one machine of two cores",
        "replica_epoch_s": "time until a new replica has a directory of 1,000,000 records",
    },
    "Address books": {
        "import_100k_s": "import 100,000 lines of CSV",
        "address_book_500_s": "look up 500 new numbers at 1,000 records",
        "address_book_500_1m_first_s": "500 new numbers at 1,000,000 records: until ten results are there",
        "address_book_500_1m_s": "500 new numbers at 1,000,000 records: until all are evaluated as well",
        "address_book_500_1m_whole_s": "500 new numbers at 1,000,000 records: until all results are there",
    },
    "The directory": {
        "directory_build_100k_s": "build a directory of 100,000 numbers",
        "directory_check_100k_s": "check it, as a client does",
        "directory_sync_100k_s": "download, check and store it, as a client does",
        "build_1m_s": "build the table for private queries, 1,000,000 records",
        "build_1m_whole_s": "build the whole base of 1,000,000 records",
        "build_10m_s": "build the table for private queries, 10,000,000 records",
        "build_10m_whole_s": "build the whole base of 10,000,000 records",
        "build_rss_ratio": "peak memory of building the table, over its size",
        "build_rss_ratio_10m": "peak memory of building the table of 10,000,000 records, over its size",
        "build_verb_rss_ratio": "peak memory of `grue directory build`, over the table's size",
        "overlay_1k_kb": "bytes that a client fetches after 1,000 changes to 1,000,000 records",
        "overlay_1k_ms": "time to fetch, check and store them",
        "overlay_half_kb": "bytes that a client fetches when the overlay has half its largest size",
        "overlay_half_ms": "time to fetch, check and store them",
    },
    "The private query, by itself": {
        "pir_answer_10m_ms": "one answer at 10,000,000 records",
        "pir_batch8_gain": "eight answers one by one, over eight together",
        "pir_kernel_ratio": "speed of the kernel beside a plain read of the same memory, one thread",
        "pir_kernel_2t_ratio": "speed of the kernel beside a plain read of the same memory, two threads",
        "pir_kernel_gbs": "what the kernel reads in a second, one thread",
        "pir_kernel_2t_gbs": "what the kernel reads in a second, two threads",
        "pir_build_1m_s": "pack 1,000,000 records and make their hint",
        "pir_build_10m_s": "pack 10,000,000 records and make their hint",
        "pir_hint_1m_s": "make the hint of 1,000,000 records, one thread",
        "pir_hint_1m_2t_s": "make the hint of 1,000,000 records, two threads",
        "pir_material_1m_ms": "what a client makes ahead for one query, 1,000,000 records",
        "pir_query_constant_ratio": "longest over shortest time of answers to three kinds of query; 1 tells nothing",
    },
    "Evaluations and tokens": {
        "oprf_evaluate_us": "evaluate one of 256 blinded numbers, proof included",
        "oprf_evaluate_one_us": "evaluate a single blinded number, proof included",
        "oprf_blind_us": "blind a number",
        "oprf_finalize_us": "check and finish one of 256 evaluations",
        "oprf_finalize_one_us": "check and finish a single evaluation",
        "token_issue_us": "issue one token",
        "token_redeem_us": "check one token and mark it as spent on disk",
        "takeover_per_restart": "numbers that one attacker takes over by guessing codes when a server has just started",
        "takeover_while_in_use": "numbers in use that are taken by their SMS within the week in which they are held",
    },
    "The relay": {
        "relay_hop_ms": "what the relay adds to a request, on loopback",
        "oblivious_overhead_ms": "what sealing, relay and opening add to a request, on loopback",
        "oblivious_linked": "share of a reader's mailboxes that a gateway names which disturbs them",
    },
    "The command line and the demo": {
        "cli_start_ms": "`grue --version`, from start to end",
        "cli_verb_ms": "a verb that says that there is no account, from start to end",
        "demo_s": "the whole demo",
        "demo_longest_step_s": "its longest step",
    },
    "What an adversary with the server's disk and keys gains over a coin (0 is nothing, 1 is always right)": {
        "swap_number": "which number was looked up",
        "swap_hit": "whether it was found",
        "swap_who": "who was written to, a day later: the worse of the next two",
        "swap_who_first": "who was written to for the first time, a day later",
        "swap_who_acquainted": "which of two acquaintances was written to, a day later",
        "swap_who_first_same_minute": "who was written to for the first time, just after it was read",
        "swap_who_acquainted_same_minute": "which of two acquaintances was written to, just after it was read",
        "swap_who_first_in_flight": "who was written to for the first time, while it waits",
        "swap_who_acquainted_in_flight": "which of two acquaintances was written to, while it waits",
    },
    "What observers answer of a made-up life (shares that are right)": {
        **_answers("life", "a directory that logs what is typed"),
        **_answers("life_rest", "a seized Grue server, looked at weekly"),
        **_answers("life_rest_daily", "a seized Grue server, looked at daily"),
        "life_30k_s": "a year of 30,000 events, played and read",
        "report_s": "its page, made",
        "report_mb": "its page, in size",
    },
}
"""By title: each figure's id, and what it measures. What sets a lookup beside other programs (`vs_...`) has a table
of its own in `docs/lookup-cost.md`."""

HEADLINES: Final = (
    "A lookup among 1,000,000 numbers took the server **{vs_grue_1m:server ms} ms** (the number's evaluation and the "
    "private query) and carried **{vs_grue_1m:up kB} kB** up. Two other programs fetch a record privately: in the "
    "same run the crate `simplepir` took {vs_simplepir_rs_1m} times our time and {vs_simplepir_rs_1m_bytes} times our "
    "bytes, and ChalametPIR {vs_chalametpir_1m} and {vs_chalametpir_1m_bytes} times. Downloading the whole directory "
    "took {vs_download_1m_bytes} times our bytes. OpenMined PSI took {vs_openmined_psi_1m} times our time, "
    "but it only says whether a number is in a set: it gives no record and no proof.",
    "A message is on the other screen after **{deliver_p50_ms} ms** (median, at 200 a second, on loopback), fsync "
    "on the server and both clients' databases included.",
    "One server acknowledges **{acked_per_s} messages a second**, each on disk before it is acknowledged. Run in turn "
    "on one machine, NATS, which syncs before it acknowledges too, took {acked_over_nats:NATS, sync always, 1/s} where "
    "Grue took {acked_over_nats:Grue, 1/s}.",
    "Through a relay a request takes **{oblivious_overhead_ms:oblivious} ms** instead of "
    "{oblivious_overhead_ms:direct} ms, measured in turn on one machine; the network's own time comes on top.",
    "We played 100 made-up lives, and had an analyst name each person's closest contact. From the log of a directory "
    "that notes what is typed, the analyst was right in **{life_closest%}** of the lives; from the disk of a Grue "
    "server, copied once a week over the same days, in **{life_rest_closest%}**.",
)
"""What the README says of the figures: `{id}`, `{id:peer}` of the same run, `{id%}` as a share."""
