"""Notices in words: what a person should know that is not a message."""

from collections.abc import Mapping
from typing import Final

from grue.protocol.conversation.conversation import Notice

NOTICES: Final[Mapping[Notice, str]] = {
    Notice.LOST: "This conversation could not be followed any more. The next message begins it anew.",
    Notice.RESTORED: "An older state of this home came back. The next message begins this conversation anew.",
    Notice.FORKED: "The server showed your own devices different histories. The next message begins anew.",
    Notice.DISAGREES: (
        "This contact's log of the conversation is not the one here: the server showed you two different histories, or "
        "their client is wrong. What it confirmed by that does not count. Ask them by another way what they have read."
    ),
    Notice.NUMBER_TAKEN: (
        "The directory lists another account under your own number, so nobody new reaches you. Ask the server's "
        "operator, or whoever could receive your SMS."
    ),
    Notice.NUMBER_MISSING: (
        "The directory does not list your number any more, so nobody new reaches you here. `grue doctor` tells more."
    ),
    Notice.NUMBER_CLAIMED: (
        "Somebody who receives your SMS wants your number on another device, and gets it in a week. If that is you: "
        "`grue account release CLAIM`, with the name that it shows. If not: `grue account object`, and ask your "
        "carrier who receives your SMS. `grue account claims` shows which claims there are."
    ),
    Notice.COPIED: (
        "Another copy of this home, or a later state of it, has read messages that are not here; or the server kept "
        "them back. Use a home in one place only: what one copy reads the other never gets. `grue doctor` tells more."
    ),
    Notice.SPLIT: (
        "The server has shown you and this contact two directories that cannot both be true. No number is looked up "
        "until you say so; `grue heads` has the proof."
    ),
    Notice.TURNED_AWAY: "So many people you do not know wrote that requests gave way. `grue requests` says how many.",
    Notice.UNHEARD: (
        "Nobody confirmed what you sent while the server kept it, so most likely it was never read. Send it again if "
        "it still matters: the next message begins this conversation anew."
    ),
    Notice.VERIFIED_CHANGED: (
        "You had verified this contact, and the directory has another identity under the number now: a new telephone, "
        "or somebody in between. Nothing goes to it. Ask them by another way, compare `grue safety` again, and only "
        "then go on with `grue send --accept-key`."
    ),
    Notice.INVITED: "You are asked into this group. `grue requests` says by whom, and `grue accept` joins it.",
    Notice.ADDED: "You were added to this group. `grue group show` lists who is in it.",
    Notice.REMOVED: "You were removed from this group. What was said so far stays here.",
    Notice.UNLINKED: (
        "This device was removed from your account by another one of yours. What is here stays; nothing more comes or "
        "goes. To use it again, remove this home and link a new one: `grue device link`."
    ),
    Notice.NOT_CHANGED: "What you wanted to change in this group is not allowed any more, or somebody else did it.",
    Notice.GAP: "Part of what the other side sent was never seen: it expired, or the server kept it back.",
}

OF_GROUPS: Final[Mapping[Notice, str]] = {
    Notice.LOST: (
        "This device cannot follow this group any more, and has asked the others to be added again. If that does not "
        "come, leave it, and have yourself added: `grue group leave`."
    ),
    Notice.RESTORED: (
        "An older state of this home came back, which can write nothing in this group. Leave it, and have yourself "
        "added again: `grue group leave`."
    ),
    Notice.FORKED: (
        "The server showed your own devices different histories of this group, so nothing is sent there. Leave it, "
        "and have yourself added again."
    ),
    Notice.DISAGREES: (
        "A member's log of this group is not the one here: the server showed two different histories, or that client "
        "is wrong. What it confirmed by that does not count."
    ),
    Notice.UNHEARD: (
        "Nobody in this group confirmed what you sent while the server kept it, so most likely it was never read. Send "
        "it again if it still matters."
    ),
    Notice.GAP: "Part of what was said in this group was never seen: it expired, or the server kept it back.",
}
"""Where nothing begins anew with the next message, and there is more than one other side."""


def words(notice: Notice, chat: str) -> str:
    """What a notice of this chat says."""
    return OF_GROUPS.get(notice, NOTICES[notice]) if chat.startswith("group:") else NOTICES[notice]
