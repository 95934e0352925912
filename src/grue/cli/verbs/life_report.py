"""`lab report`: make a page of what every observer knew of a made-up life."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from grue.cli.parameters import FLAG, Injected


def report(
    folder: Annotated[Path, Parameter(name="DIR", help="What `lab life` wrote.")],
    /,
    *,
    html: Annotated[Path, Parameter(help="Where the page goes.")],
    scores: Annotated[Path | None, Parameter(help="Answers over many lives, as `bench/life.json`.")] = None,
    anew: Annotated[bool, FLAG, Parameter(help="Read the captures again, as far as each goes.")] = False,
    shell: Injected,
) -> None:
    """Write a page on a made-up life: what each observer was given, and what they make of it. It needs no network."""
    from grue.lab.report import answers_of, calls_of, damages, life_of, return_of
    from grue.pages.life_material import Material
    from grue.pages.life_page import page
    from grue.pages.page import write

    with shell.waiting("Writing ..."):
        life = life_of(folder)
        found = answers_of(folder, scores, anew=anew)
        damaged = list(damages(folder))
        notes = tuple(one.sentence(anew=anew) for one in damaged)
        material = Material(life, found, return_of(folder), calls_of(folder, life.subject), notes)
        text = page(material)
        write(html, text)
    for one, note in zip(damaged, notes, strict=True):
        shell.warn({"notice": "damaged", "capture": one.name, "missing": one.missing, "message": note}, note)
    fields = {
        "page": str(html),
        "bytes": len(text.encode()),
        "views": len(found.views),
        "cut": [one.name for one in damaged if not one.missing],
        "missing": [one.name for one in damaged if one.missing],
    }
    shell.result(fields, f"The page is in {html}. Open it in a browser; it needs no network.")
