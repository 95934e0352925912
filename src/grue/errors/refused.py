"""Refusals, exit code 3: what was asked for makes sense, and is not done."""

from grue.errors.base import GrueError


class Refused(GrueError):
    """A limit, a missing permission or a missing consent; trying the same again changes nothing."""

    code = "refused"
    exit_code = 3
    message = "That was refused."
    fix = "See the message."


class ConsentNeeded(Refused):
    code = "consent_needed"
    message = "This number is not on Grue, or not to be found. An SMS is readable by others on its way."
    fix = "Add --sms to send it as SMS all the same."


class ContactGone(Refused):
    code = "contact_gone"
    message = "This contact was in the directory and is there no more, so nothing was sent."
    fix = "They may have left Grue, or chosen not to be found: ask them by another way; --accept-key sends it."


class RouteUnknown(Refused):
    code = "route_unknown"
    message = "It is not known whether this number is on Grue, so nothing was sent."
    fix = "Try again when the server answers. A failed lookup never turns into an SMS."


class NotOnGrue(Refused):
    code = "not_on_grue"
    message = "This number is not on Grue, or not to be found."
    fix = "Nothing was changed. Only SMS reaches it: it is in no group, and has no safety number. Ask them to register."


class OnlyAdmins(Refused):
    code = "only_admins"
    message = "In this group only admins may do that."
    fix = "`grue group show` lists them. Nothing was changed or sent."


class GroupFull(Refused):
    code = "group_full"
    message = "So many devices do not fit into one group: 1,000 do at most."
    fix = "Nothing was changed. Make a second group, or leave somebody out."


class GroupBusy(Refused):
    code = "group_busy"
    message = "Somebody else changed this group first, so nothing was changed."
    fix = "Look at it with `grue group show`, and try again."


class LinkUsed(Refused):
    code = "link_used"
    message = "This link was used already, and each is good for one device, once."
    fix = "Make a new one: `grue device link` on the new device. If nobody of yours used it, somebody else has seen it."


class LinkExpired(Refused):
    code = "link_expired"
    message = "Nobody answered by this link: it is good for ten minutes, while the new device waits."
    fix = "Make a new one: `grue device link` on the new device, and go on there and here at once."


class LinkDeclined(Refused):
    code = "link_declined"
    message = "The other device has said no."
    fix = "Nothing was linked. If that was not you, somebody else has the link: make a new one."


class CannotManage(Refused):
    code = "cannot_manage"
    message = "This device does not hold the account's identity key, so it links and removes none."
    fix = "Do it on one that does: `grue device list` says which."


class TooManyDevices(Refused):
    code = "too_many_devices"
    message = "An account has ten devices at most."
    fix = "Remove one that you do not use: `grue device list`, `grue device remove`."


class HoldsIdentity(Refused):
    code = "holds_identity"
    message = "That device holds the account's identity key, which no new list takes from it. Nothing was removed."
    fix = "--new-identity makes another key: your contacts are told that it changed, and groups have to add you again."


class NotInGroup(Refused):
    code = "not_in_group"
    message = "You are not in this group any more."
    fix = "Who is in it can add you again."


class EncryptedContact(Refused):
    code = "encrypted_contact"
    message = "Messages with this number were encrypted before, so SMS will not be used by itself."
    fix = "Ask them whether they have left Grue."


class Blocked(Refused):
    code = "blocked"
    message = "You have blocked them, so nothing is sent to them either."
    fix = "`grue unblock` takes it back."


class CodeWrong(Refused):
    code = "code_wrong"
    message = "That is not the code that was sent for this registration."
    fix = "Check the newest SMS; a code works once, and only for the registration that asked for it."


class CodeExpired(Refused):
    code = "code_expired"
    message = "That code has expired."
    fix = "Run `grue register` again for a new one."


class NumberHeld(Refused):
    """The number was proved to be one's own, and another device still uses it."""

    code = "held"
    message = "Another device still uses this number, so it is held for it."
    fix = "Type `grue account release CLAIM` there; or wait, and then run `grue register` and `grue verify` once more."


class NoClaim(Refused):
    code = "no_claim"
    message = "Nobody makes that claim of this number now, or you answered it before."
    fix = "`grue account claims` shows those that there are. One to which you objected was held for a week more."


class TooManyGuesses(Refused):
    code = "too_many_guesses"
    message = "Too many wrong codes for this number."
    fix = "Run `grue register` again: the next SMS has a longer code, which is taken all the same."


class TooManyCodes(Refused):
    code = "too_many_codes"
    message = "Too many codes were asked for this number."
    fix = "Wait before asking for another."


class CodesUsedUp(Refused):
    """The server's own bound on SMS with codes, in all or to numbers with the same beginning."""

    code = "codes_used_up"
    message = "The server has sent as many codes as its operator allows for now."
    fix = "Wait as long as it says, then run `grue register` again."


class NotPermitted(Refused):
    code = "not_permitted"
    message = "The server does not accept this key for that."
    fix = "If this account was registered anew elsewhere, register here again."


class NoSuchMailbox(Refused):
    code = "no_such_mailbox"
    message = "That mailbox does not exist (any more)."
    fix = "The contact may have left; look the number up again."


class MailboxFull(Refused):
    code = "mailbox_full"
    message = "The other side has not read for long and their mailbox is full. Nothing was lost."
    fix = "Try again when they have read."


class MailboxConflict(Refused):
    code = "mailbox_conflict"
    message = "That mailbox, slot or envelope id is in use with other contents."
    fix = "This does not happen by chance; please report it."


class LimitReached(Refused):
    """An account's allowance is used up. It says nothing about any number."""

    code = "limit_reached"
    message = "This account has used up what it may do for now."
    fix = "Wait as long as it says: new allowance comes every day for lookups and SMS, every week for the rest."


class TokenNeeded(Refused):
    code = "token_needed"
    message = "The server wants anonymous tokens for that."
    fix = "Update Grue; if that does not help, please report it."


class BadToken(Refused):
    code = "bad_token"
    message = "An anonymous token is forged, damaged, or made for another request."
    fix = "Try again; another one is used then."


class TokenSpent(Refused):
    code = "token_spent"
    message = "That anonymous token was spent before."
    fix = "Try again; another one is used then."


class TokenExpired(Refused):
    code = "token_expired"
    message = "That anonymous token is of a key that is not in use (any more)."
    fix = "Try again; new ones are drawn then."


class NoKeyPackages(Refused):
    code = "no_key_packages"
    message = "This contact cannot be reached by new people at the moment."
    fix = "Try again later; their device has to come online."


class NoSuchBlob(Refused):
    code = "no_such_blob"
    message = "That attachment is not on the server (any more)."
    fix = "Attachments are kept for two weeks; ask for it to be sent again."


class BlobConflict(Refused):
    code = "blob_conflict"
    message = "A part of an attachment is there with other contents."
    fix = "This does not happen by chance; please report it."


class TooLarge(Refused):
    code = "too_large"
    message = "That is too large for one message."
    fix = "Send it in parts."


class DiskFull(Refused):
    code = "disk_full"
    message = "The disk is full. What was stored before is unharmed."
    fix = "Free some space and try again."


class DiskFailed(Refused):
    code = "disk_failed"
    message = "The disk cannot be read or written."
    fix = "Check that the folder is yours and can be written, and that the disk is sound."


class OtherVersion(Refused):
    code = "other_version"
    message = "The server speaks another version of the protocol."
    fix = "Update whichever of the two is older."


class NotAGrueServer(Refused):
    code = "not_grue"
    message = "What answers there is not a Grue server."
    fix = "Check the URL."


class NotARelay(Refused):
    code = "not_a_relay"
    message = "What answers there is not a relay for a Grue server."
    fix = "Check the relay's URL; `grue transport` changes it."


class SmsRejected(Refused):
    code = "sms_rejected"
    message = "The SMS gateway rejected this SMS."
    fix = "Check the number; the carrier may not serve it."


class SmsUnavailable(Refused):
    code = "sms_unavailable"
    message = "This server has no SMS gateway."
    fix = "Ask its operator to start it with --sms."


class BadRequest(Refused):
    code = "bad_request"
    message = "The server could not read the request."
    fix = "Update Grue; if that does not help, please report it."
