"""Parameters that several verbs share."""

from typing import Annotated, Final

from cyclopts import Parameter

from grue.cli.shell import Shell

Injected = Annotated[Shell, Parameter(parse=False)]
"""Given by `run`, not typed."""

HYPHENS: Final = Parameter(allow_leading_hyphen=True)
"""May be `-`, or begin with a hyphen."""

FLAG: Final = Parameter(negative="")
"""There is no `--no-...`."""

ANY_NUMBER: Final = "A phone number, as people type it. `-`: from stdin."
