"""Failed checks, exit code 5: nothing goes on before somebody knows why."""

from grue.errors.base import GrueError


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


class FalseLink(VerificationFailed):
    code = "false_link"
    message = "What came by this link is not what it promises: somebody else may have it."
    fix = "Nothing was linked. Make a new link, and show it to nobody but your other device."


class CodesDiffer(VerificationFailed):
    code = "codes_differ"
    message = "The two devices do not show the same six digits: somebody may be in between."
    fix = "Nothing was linked. Make a new link, and show it to nobody but your other device."


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
