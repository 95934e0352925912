"""The style of all pages: on a screen of any width, light and dark, and on paper."""

from typing import Final

MOST_STEPS: Final = 6
"""Positions that a slider has at most."""

ON_PAPER: Final = 15
"""Lines that are printed of each end of a long table: the year's list of records alone would fill eight sheets."""

EDGES: Final = (0.8, 1.8, 2.9, 4.2, 5.7)
"""Widths of a graph's lines, by how often two were seen together: the last is of whoever was seen most."""

_BASE: Final = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #c8c8c8; --quiet: #555; --band: #f1f1f1;
  --dot: #1f5f8b; --edge: #9db4c4; --far: #767676; --mark: #8a3b00;
  --q1: #dbe9f4; --q2: #a9cce3; --q3: #5b9dc6; --q4: #1f5f8b; --q3ink: #000; --q4ink: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --line: #4a4a4a; --quiet: #b3b3b3;
  --band: #262626; --dot: #7fb8e0; --edge: #47606f; --far: #9a9a9a; --mark: #ffb27a;
  --q1: #1d2f3c; --q2: #264c66; --q3: #31719b; --q4: #7fb8e0; --q3ink: #fff; --q4ink: #10222e; } }
@page { size: A4; margin: 16mm 14mm; @bottom-right { content: counter(page) " of " counter(pages); font-size: 9pt; } }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .4rem; border-top: 2px solid var(--line); padding-top: .8rem; }
.view h2 { border: 0; padding: 0; margin-top: 1rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
h2, h3, caption { break-after: avoid; }
p, li { max-width: 46rem; }
p { margin: .4rem 0; }
.quiet, figcaption, .csv { color: var(--quiet); font-size: .88rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .6rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--dot); }
.csv { margin: .15rem 0 1rem; }
.scroll { overflow: auto; max-height: 26rem; border-bottom: 1px solid var(--line); }
.scroll.whole { max-height: none; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .86rem; min-width: 100%; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; color: var(--ink); }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 1.5rem); }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem .3rem; border-top: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
thead th { background: var(--band); position: sticky; top: 0; }
tbody th { font-weight: normal; white-space: nowrap; }
.answers tbody th, .wrapped tbody th { white-space: normal; }
tbody th[scope=rowgroup] { font-weight: 600; background: var(--band); white-space: normal; }
.record td, .contacts td, .hops td, .inferred td:nth-child(2) { white-space: nowrap; }
.heat table { min-width: 0; width: 100%; max-width: 34rem; table-layout: fixed; }
.heat th, .heat td { text-align: center; padding: .08rem; }
.heat tbody td { color: var(--quiet); border: 1px solid var(--paper); }
.heat { max-height: none; border: 0; }
tbody td.q1 { color: var(--ink); background: var(--q1); }
tbody td.q2 { color: var(--ink); background: var(--q2); }
tbody td.q3 { background: var(--q3); color: var(--q3ink); }
tbody td.q4 { background: var(--q4); color: var(--q4ink); font-weight: 600; }
.gap td { color: var(--quiet); font-style: italic; }
.onpaper { display: none; }
figure { margin: .6rem 0; }
svg { display: block; width: 100%; height: auto; max-width: 46rem; }
svg text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); paint-order: stroke;
  stroke: var(--paper); stroke-width: 3px; }
.e { fill: none; stroke: var(--edge); stroke-width: __THIN__; }
.h { fill: none; stroke: var(--far); stroke-width: .6; stroke-dasharray: 3 3; opacity: .7; }
.n { fill: var(--dot); stroke: var(--paper); }
.o { fill: var(--paper); stroke: var(--far); }
.k { fill: var(--mark); stroke: var(--paper); }
.b { fill: var(--dot); }
.narrow { display: none; }
.a { stroke: var(--line); fill: none; }
svg .m { fill: var(--mark); font-weight: 600; text-anchor: middle; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .3rem 0;
  font-size: .88rem; }
.legend svg { display: inline-block; width: 1rem; height: 1rem; vertical-align: -.15rem; margin-right: .3rem; }
.controls { display: none; }
.js .controls { display: block; position: sticky; top: 0; z-index: 2; background: var(--paper);
  border-bottom: 2px solid var(--line); padding: .4rem 0; }
.controls fieldset { border: 0; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: .1rem .9rem; }
.controls legend { float: left; margin-right: .6rem; font-weight: 600; }
.controls label { white-space: nowrap; }
.controls .days { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .8rem; margin-top: .3rem; }
.controls input[type=range] { flex: 1 1 12rem; max-width: 22rem; accent-color: var(--dot); }
.controls output { flex: 1 1 14rem; }
.js .view, .js .heat, .js .without { display: none; }
.js .view.shown { display: block; }
.printed { display: none; }
@media (max-width: 48rem) {
  svg text { font-size: 16px; }
  svg .wide { display: none; }
  svg .narrow { display: inline; }
}
@media (max-width: 30rem) {
  body { padding: .6rem; }
  h1 { font-size: 1.4rem; }
  .controls { font-size: .88rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin: 0 0 .4rem; }
  svg text { font-size: 22px; }
  .wrapped table { font-size: .8rem; }
  .wrapped th, .wrapped td { padding-right: .3rem; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --line: #999; --quiet: #333; --band: #eee; --dot: #1f5f8b;
    --edge: #9db4c4; --far: #666; --mark: #8a3b00; --q1: #dbe9f4; --q2: #a9cce3; --q3: #5b9dc6; --q4: #1f5f8b;
    --q3ink: #000; --q4ink: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .js .controls, .csv, .controls { display: none; }
  .js .printed { display: block; }
  .scroll { max-height: none; overflow: visible; }
  thead th { position: static; }
  table { font-size: 8pt; }
  .contacts table, .hops table, .answers table { font-size: 7pt; }
  tr, figure, dl { break-inside: avoid; }
  .heat { break-inside: avoid; }
  .heat table { font-size: 7pt; }
  .graph svg { max-width: 13cm; }
  svg text { font-size: 12px; }
  svg .wide, .graph svg .narrow { display: inline; }
  svg .narrow, .graph svg .wide { display: none; }
  .graph svg text { font-size: 18px; }
  .onpaper { display: block; font-size: 8pt; }
__PAPER__
  td, .n, .k, .b { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def _steps() -> str:
    """What each step of the slider shows.

    `f2` is there from the third on, `x2` in the third alone, and `u2` in all but the third; of heat maps one is shown.
    """
    lines = []
    for at in range(MOST_STEPS):
        lines.append(f"{', '.join(f'.d{at} {one}' for one in _absent(at))} {{ display: none; }}")
        lines.append(f".js .d{at} .heat.h{at} {{ display: block; }}")
        lines += [f".d{at} .w{at}{n} {{ stroke-width: {EDGES[n]}; }}" for n in range(1, len(EDGES))]
    return "\n".join(lines)


def _absent(at: int) -> list[str]:
    later = [f".f{step}" for step in range(at + 1, MOST_STEPS)]
    return [*later, *(f".x{step}" for step in range(MOST_STEPS) if step != at), f".u{at}"]


def _paper() -> str:
    """Lines in the middle of long tables are not printed; those that the slider hides do not count."""
    lines = []
    for at in range(MOST_STEPS):
        there = f"of :not({', '.join((*_absent(at), '.gap'))})"
        middle = f"tr:nth-child(n+{ON_PAPER + 1} {there}):nth-last-child(n+{ON_PAPER + 1} {there})"
        lines.append(f"  .d{at} .long tbody {middle} {{ display: none; }}")
    return "\n".join(lines)


STYLE: Final = f"{_BASE.replace('__THIN__', str(EDGES[0])).replace('__PAPER__', _paper())}{_steps()}\n"
