"""Errors of whoever calls, exit code 2: nothing was done."""

from grue.errors.base import GrueError


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
    message = "Several are called so. Nothing was done."
    fix = "Name the one that is meant by its number or id."


class NoSuchDevice(UsageError):
    code = "no_such_device"
    message = "No device of yours is called so, or several are."
    fix = "`grue device list` has them; an id names one of several."


class NoSuchMember(UsageError):
    code = "no_such_member"
    message = "Nobody of that name or number is in this group."
    fix = "`grue group show` lists who is."


class BadLink(UsageError):
    code = "bad_link"
    message = "This is no link of Grue, or a part of it is missing."
    fix = "Copy all of it, from grue: to its end, or scan its code."


class OtherLink(UsageError):
    code = "other_link"
    message = "This link is for something else."
    fix = "grue:link/ adds a device, grue:join/ leads into a group, grue:person/ to somebody to write to."


class LinkElsewhere(UsageError):
    code = "other_server"
    message = "This link leads into a group on another server."
    fix = "A group is on one server. To join it, register there with another home, and use the link in that."


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
