"""Every error that Grue raises: one tree, each with a code for machines and a fix for people.

Callers match types, never text. `code` is what `--json` prints and what travels in a refusal; `exit_code`
is what the command line ends with. No error carries a number, a name or message text of anybody.
"""

from typing import ClassVar


class GrueError(Exception):
    """The base of all of Grue's errors; raised itself only for a fault of our own."""

    code: ClassVar[str] = "bug"
    exit_code: ClassVar[int] = 1
    message: ClassVar[str] = "Something went wrong inside Grue."
    fix: ClassVar[str] = "Please report this, with what you did just before."

    def __init__(self, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(f"{self.message} {detail}".rstrip())
        self.detail = detail
        self.retry_after = retry_after
        """Seconds to wait before another try can succeed; 0 when waiting does not help."""


class ProtocolViolation(GrueError):
    """Our own code asked a state machine for a step that its table does not allow."""

    code = "illegal_step"


# --- 2: usage -------------------------------------------------------------------------------------


class UsageError(GrueError):
    """The caller asked for something that makes no sense; nothing was done."""

    code = "usage"
    exit_code = 2
    message = "That cannot be done."
    fix = "See `grue --help`."


class NotANumber(UsageError):
    code = "not_a_number"
    message = "That is not a phone number."
    fix = "Type it with its country code, for example +44 7700 900123."


class NumberTooShort(NotANumber):
    code = "number_too_short"
    message = "That number is too short for a person's telephone."
    fix = "Type the whole number with its country code; short codes and emergency numbers are not on Grue."


class NotRegistered(UsageError):
    code = "no_account"
    message = "There is no account in this home yet."
    fix = "Run `grue register NUMBER --server URL`, then `grue verify CODE`."


class OldAccount(NotRegistered):
    """The home's account is of an earlier protocol (`wire.PROTOCOL`): nobody of today can read what it would send."""

    code = "old_account"
    message = "The account in this home is of an earlier version of Grue's protocol, and reaches nobody any more."
    fix = "Register anew: `grue register NUMBER --server URL`. Messages and the address book stay."


class AlreadyRegistered(UsageError):
    code = "already_registered"
    message = "This home already has an account."
    fix = "Use another GRUE_HOME for another number."


class NotAnAddressBook(UsageError):
    code = "no_address_book"
    message = "That file is neither vCard nor a CSV file with a column of phone numbers."
    fix = "Export the contacts as vCard (.vcf), or as CSV with a header such as: Name,Phone. Nothing was imported."


class NoSuchContact(UsageError):
    code = "no_such_contact"
    message = "That number is not in the address book."
    fix = "`grue contacts` lists it."


class NoSuchChat(UsageError):
    code = "no_such_chat"
    message = "There is no such chat here."
    fix = "`grue chats` lists them."


class NoSuchRequest(UsageError):
    code = "no_such_request"
    message = "No request of that name waits here."
    fix = "`grue requests` lists them."


class AmbiguousName(UsageError):
    code = "ambiguous_name"
    message = "Several groups are called so."
    fix = "Name the one that is meant by its id; `grue group list` has them."


class NoSuchMember(UsageError):
    code = "no_such_member"
    message = "Nobody of that name or number is in this group."
    fix = "`grue group show` lists who is."


class NoSuchHome(UsageError):
    code = "no_such_home"
    message = "There is no home in that folder."
    fix = "`grue register` makes one there; a program opens a new one with `create=True`."


class WrongPassphrase(UsageError):
    code = "wrong_key"
    message = "The passphrase does not open this home."
    fix = "Check GRUE_PASSPHRASE and GRUE_HOME. A lost passphrase cannot be recovered."


class NoPassphrase(UsageError):
    code = "no_key"
    message = "No keyring is available and no passphrase was given, so the home cannot be opened."
    fix = "Set GRUE_PASSPHRASE."


class ForeignDatabase(UsageError):
    code = "foreign_database"
    message = "The database there is not one of ours, or of a newer version."
    fix = "Check GRUE_HOME (or --data); update Grue if the file is from a newer one. Nothing was changed."


class OldData(UsageError):
    """A server's database is of an earlier protocol: what accounts left there, no client of today can use."""

    code = "old_data"
    message = "These are the files of a server that spoke an earlier version of Grue's protocol."
    fix = "Give --data an empty folder; everybody registers anew there. Nothing was changed."


class ClockImplausible(UsageError):
    """A server's clock cannot be right, by what it signed itself. Before anything is signed, cut or swept by it."""

    code = "clock_implausible"
    message = "The server's clock cannot be right, or the server stood still for very long."
    fix = "Set the clock. If it is right, say so once: `grue serve --clock-is-right`."


# --- 3: refused -----------------------------------------------------------------------------------


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
    message = "So many devices do not fit into one group yet: about 20 do."
    fix = "Nothing was changed. Make a second group, or leave somebody out."


class GroupBusy(Refused):
    code = "group_busy"
    message = "Somebody else changed this group first, so nothing was changed."
    fix = "Look at it with `grue group show`, and try again."


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


# --- 4: network -----------------------------------------------------------------------------------


class NetworkError(GrueError):
    """No answer, or not now; the same again may succeed."""

    code = "network"
    exit_code = 4
    message = "The network did not answer."
    fix = "Try again."


class Unreachable(NetworkError):
    code = "unreachable"
    message = "The server cannot be reached."
    fix = "Check the server's URL and your connection."


class BadCertificate(NetworkError):
    """Of the network's kind, since a network that wants a log-in first answers like this, and then no more."""

    code = "bad_certificate"
    message = "Whoever answers there has no valid certificate for that name; nothing was sent."
    fix = "Some networks do so until you log in. Otherwise check the URL, this machine's clock, and the certificate."


class TimedOut(NetworkError):
    """An answer was lost: whether the request took effect is unknown."""

    code = "timed_out"
    message = "The server did not answer in time."
    fix = "Try again; doing it twice does no harm."


class RelayUnreachable(Unreachable):
    code = "relay_unreachable"
    message = "The relay cannot be reached; nothing was asked in another way."
    fix = "Check the relay's URL and your connection; `grue transport` changes it."


class ProxyUnreachable(Unreachable):
    code = "proxy_unreachable"
    message = "The proxy does not connect; nothing was asked without it."
    fix = "Check that the proxy (Tor, for example) is running; `grue transport` changes it."


class ServerBusy(NetworkError):
    code = "busy"
    message = "The server is busy."
    fix = "Wait a little and try again."


class EpochEnded(NetworkError):
    code = "epoch_ended"
    message = "The server has a newer directory than the one that was asked in."
    fix = "Try again; the newer one is fetched then."


class HomeBusy(NetworkError):
    """No network, but the same remedy: another process holds the database's lock for longer than it should."""

    code = "home_busy"
    message = "Another process is using this home."
    fix = "Try again when it is done."


class SmsGatewayDown(NetworkError):
    code = "sms_gateway_down"
    message = "The SMS gateway cannot be reached; the SMS was not sent."
    fix = "Try again later."


class SmsThrottled(NetworkError):
    code = "sms_throttled"
    message = "The SMS gateway asks to slow down; the SMS was not sent."
    fix = "Try again later."


class SmsMayHaveGone(NetworkError):
    """The submit's answer was lost. Never tried again by itself."""

    code = "sms_may_have_gone"
    message = "The SMS was handed over but no answer came: it may have gone."
    fix = "Ask the other side before you send it again."


# --- 5: verification ------------------------------------------------------------------------------


class VerificationFailed(GrueError):
    """A check failed that an honest server or contact passes."""

    code = "verification_failed"
    exit_code = 5
    message = "A security check failed; nothing was sent."
    fix = "Do not go on before you know why; `grue doctor` tells more."


class KeyChanged(VerificationFailed):
    code = "key_changed"
    message = "This contact's identity key is not the one known here."
    fix = "They may have a new phone, or somebody is in between: ask them by another way."


class VerifiedKeyChanged(KeyChanged):
    code = "verified_key_changed"
    message = "You had verified this contact, and their safety number is another one now. Nothing was sent."
    fix = "Ask them by another way, compare `grue safety NUMBER` again, and only then go on: `grue send --accept-key`."


class SafetyNumberDiffers(VerificationFailed):
    code = "safety_number_differs"
    message = "These are not the digits of the safety number here."
    fix = "Read them again, on both sides. If they stay different, somebody may be in between: say nothing secret here."


class BadManifest(VerificationFailed):
    code = "bad_manifest"
    message = "The directory's manifest is not signed by this server's key, or contradicts itself."


class StaleDirectory(VerificationFailed):
    code = "stale_directory"
    message = "The directory that the server shows is not valid at the time of this machine's clock."
    fix = "Check this machine's clock; if it is right, the server hides changes, or its own clock is wrong."


class ShrunkDirectory(VerificationFailed):
    code = "shrunk_directory"
    message = "The server showed a directory that is behind, or contradicts, what it showed before."


class SplitDirectory(VerificationFailed):
    code = "split_directory"
    message = "The server has shown you and one of your contacts two directories that cannot both be true."
    fix = "Tell them, not through this server. `grue heads` has the proof, and says how to go on."


class BadDirectory(VerificationFailed):
    code = "bad_directory"
    message = "The directory's files do not match its signed manifest."


class SpoiltAnswer(BadDirectory):
    """It stands for the epoch, like any answer: asked for again, it would tell that it was this one."""

    code = "spoilt_answer"
    message = "The server's answer about this number is no part of its directory."
    fix = "Whether the number is on Grue can be known again with the directory's next base; `grue doctor` tells more."


class BadRecord(VerificationFailed):
    code = "bad_record"
    message = "The directory's record for this number does not open."


class BadProof(VerificationFailed):
    code = "bad_proof"
    message = "The server's answer was not made with its published lookup key."


class BadKeyPackage(VerificationFailed):
    code = "bad_key_package"
    message = "The keys that the server handed out do not match the directory's record."


class BadEnvelope(VerificationFailed):
    code = "bad_envelope"
    message = "An envelope has a wrong size or does not open."


class BadAttachment(VerificationFailed):
    code = "bad_attachment"
    message = "What the server has for that attachment is not what was sent."


class ServerChanged(VerificationFailed):
    code = "server_changed"
    message = "The server's key is not the one this account was registered with."


class BadGatewayKey(VerificationFailed):
    code = "bad_gateway_key"
    message = "The key that the relay handed out is not one that this account's server has signed for now."
    fix = "Check this machine's clock, and that the relay belongs to this server; `grue transport` changes it."


class ForkedLog(VerificationFailed):
    code = "forked_log"
    message = "The server showed your own devices different histories of this conversation."


class CorruptDatabase(VerificationFailed):
    code = "corrupt_database"
    message = "The database is damaged."
    fix = "Restore a backup. The damaged file was left as it is."


def _tree(cls: type[GrueError]) -> list[type[GrueError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in _tree(sub))]


BY_CODE: dict[str, type[GrueError]] = {error.code: error for error in _tree(GrueError)}
"""Every error by its code, as it travels in a `wire.Refusal`."""
