"""All verbs by name. Each is imported when it is typed, or when help is asked for."""

from typing import Final

from cyclopts import App, Group

_HELP: Final = """Reach people by phone number, encrypted or by SMS, and tell nobody whom you looked for.

Before or after any verb: `--home DIR` uses another home than GRUE_HOME, and `--json` prints one JSON object a line.
"""

app: Final = App(name="grue", help=_HELP, version_flags=[], group_commands=Group("Help", sort_key=9))

VERBS: Final = {
    "desktop": ("desktop", "Open the window: chats, groups and what others could see of them."),
    "register": ("account", "Have a code sent to your number by SMS; `verify` takes it."),
    "verify": ("account", "Hand in the code from the SMS; after that the number is registered here."),
    "account": (
        "account",
        "Say whether your number is to be found, and who else wants it.",
    ),
    "lookup": ("lookups", "Say for each number whether a message would go encrypted or as SMS."),
    "contacts": ("contacts", "List the address book; import one, look it up, name people, or forget it."),
    "send": ("messages", "Send one message: encrypted to whoever is on Grue, as SMS to nobody without `--sms`."),
    "receive": ("messages", "Show what has arrived, each message once."),
    "chats": ("messages", "List the chats in this home, the latest first."),
    "chat": ("chat", "Pin a chat, mute it, put it into the archive, or keep a draft in it."),
    "show": ("messages", "Show all messages of a chat, oldest first."),
    "search": ("chat", "Find messages by their texts and files, and chats by their names."),
    "group": ("groups", "Make a group, change who is in it and who may do what, or leave it."),
    "join": ("groups", "Ask to be let into the group that a link leads into."),
    "safety": ("safety", "Show the safety number with somebody, sixty digits and a QR code."),
    "person": ("persons", "Make a link by which people write to you without a number, or keep somebody by theirs."),
    "profile": ("profiles", "Say what you call yourself, or show what others do."),
    "device": ("devices", "Link further devices to your account, list them, and remove them."),
    "requests": ("requests", "Fetch and list who has written to you and was not accepted yet."),
    "accept": ("requests", "Accept a request, as an answer does."),
    "decline": ("requests", "Turn a request down, without its sender being told."),
    "block": ("requests", "Hear nothing of somebody any more, without their being told."),
    "unblock": ("requests", "Hear somebody again."),
    "report": ("requests", "Write what is kept of a chat into a file for yourself, which is sent to nobody."),
    "save": ("messages", "Download the file that came with a message, and check that it is what was sent."),
    "transport": ("transports", "Say how this home reaches its server, and who sees what by it; or change it."),
    "heads": ("heads", "Say which state of the directory this home holds, and whether contacts were shown the same."),
    "exposure": (
        "exposed",
        "Show what each party was given by this home this week, and what they could not see by it.",
    ),
    "doctor": ("doctor", "Say what is wrong here, and how to mend it."),
    "demo": (
        "laboratory",
        "Run a server, a relay, a carrier and two clients here, and show who learned what.",
    ),
    "serve": ("servers", "Run a server."),
    "replica": (
        "servers",
        "Run a replica: it holds a server's public directory, and answers private queries in its place.",
    ),
    "relay": ("servers", "Run an oblivious relay to somebody else's server; to your own it would hide nothing."),
    "directory": ("directories", "A server's directory: make a new base, list its files, check them."),
    "subpoena": ("subpoena", "Show what a server could hand over about a number, and what it could not."),
    "carrier": ("servers", "Run a telephone company for development, or write an SMS on one of its telephones."),
    "lab": ("laboratory", "For demonstrations and measurements."),
}
"""Where each verb is, and what it does: said here as well, so that `grue --help` need not import them all."""

APPS: Final = {
    "account": "account_app",
    "contacts": "contacts_app",
    "carrier": "carrier_app",
    "chat": "chat_app",
    "device": "device_app",
    "directory": "directory_app",
    "group": "groups_app",
    "lab": "lab_app",
    "person": "person_app",
}

GROUPS: Final = {
    "You and others": (
        *(
            "desktop",
            "register",
            "verify",
            "lookup",
            "contacts",
            "send",
            "receive",
            "chats",
            "chat",
            "show",
            "search",
            "save",
        ),
        *("group", "join", "safety", "person", "profile"),
    ),
    "Who may write to you": ("requests", "accept", "decline", "block", "unblock", "report"),
    "What goes on": ("account", "device", "exposure", "transport", "heads", "doctor"),
    "Operate": ("serve", "replica", "relay", "directory", "subpoena"),
    "Try everything on this machine": ("demo", "carrier", "lab"),
}
"""In the order in which help shows them."""

for _at, (_title, _names) in enumerate(GROUPS.items()):
    _group = Group(_title, sort_key=_at)
    for _n, _name in enumerate(_names):
        _module, _help = VERBS[_name]
        _where = f"grue.cli.verbs.{_module}:{APPS.get(_name, _name)}"
        app.command(_where, name=_name, help=_help, group=_group, sort_key=_n)
