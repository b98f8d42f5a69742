"""The HTML document and the style sheets of the pages, for light and dark screens."""

DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts};
 form-action 'none'; base-uri 'none'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

# The styles that all pages have.
BASE = """
:root { --ink: #1b2229; --soft: #5a6673; --line: #dde3e8; --paper: #fff; --ground: #f4f6f8;
  --ref: #0072b2; --pred: #e69f00; --up: #006b4f; --down: #b03a00; --in-ref: #d3e8f5;
  --in-pred: #fdefd0; --warn: #fff4d6; --warn-line: #eed9a0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaee; --soft: #a3afba; --line: #35404a; --paper: #1b2229; --ground: #12171c;
    --ref: #56b4e9; --pred: #e69f00; --up: #4cc9a0; --down: #f08a5d; --in-ref: #16405c;
    --in-pred: #4f3a0a; --warn: #3d3212; --warn-line: #6b571d; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 1.35rem; margin: 0 0 12px; }
h3 { font-size: 1rem; margin: 20px 0 10px; color: var(--soft); }
h4 { font-size: .72rem; margin: 10px 0 2px; text-transform: uppercase; letter-spacing: .06em;
  color: var(--soft); }
p { margin: 0 0 8px; }
a { color: inherit; }
section { margin-top: 40px; }
.lead { font-size: 1.05rem; max-width: 70ch; }
.warn { display: inline-block; padding: 2px 10px; border-radius: 4px; background: var(--warn);
  border: 1px solid var(--warn-line); font-size: .85rem; }
.note, .meta, figcaption, small { color: var(--soft); font-size: .85rem; }
.note { max-width: 80ch; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 1px;
  margin: 16px 0 0; background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.facts div { box-shadow: 0 0 0 1px var(--line); padding: 10px 14px; }
dt { color: var(--soft); font-size: .78rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; background: var(--paper);
  border: 1px solid var(--line); }
th, td { padding: 8px 12px; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { font-size: .8rem; color: var(--soft); font-weight: 600; }
.scores td, .scores thead th:not(:first-child) { text-align: right;
  font-variant-numeric: tabular-nums; }
.scores tbody th { font-weight: 400; }
.scores td:nth-child(2) { font-weight: 600; }
.scores .group th { background: var(--ground); font-weight: 600; }
caption { text-align: left; font-weight: 600; font-size: .9rem; padding: 4px 8px; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--soft); font-size: .88rem; padding: 4px 0; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .82rem;
  line-height: 1.45; font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 40px; padding-top: 12px; border-top: 1px solid var(--line); }
.scroll + .note, figcaption { margin-top: 6px; }
code { font-size: .78rem; overflow-wrap: anywhere; }
mark { padding: 0 2px; border-radius: 2px; color: inherit; }
mark.ref { background: var(--in-ref); box-shadow: inset 0 -2px var(--ref); }
mark.pred { background: var(--in-pred); box-shadow: inset 0 -2px var(--pred); }
@media (max-width: 640px) {
  main { padding: 20px 14px 40px; }
  h1 { font-size: 1.5rem; }
  .facts { grid-template-columns: repeat(2, 1fr); }
  .scores th, .scores td { padding: 6px 6px; font-size: .82rem; }
}
@media print { body { background: #fff; } }
"""

# The additional styles of the page of `tools.inspect_data`.
INSPECT = """
:root { --t-prompt: #e3e8ed; --t-target: #cdeadb; --t-edge: #1b2229; --t-edge-ink: #fff;
  --t-sep: #f5c26b; --t-sep-ink: #1b2229; }
@media (prefers-color-scheme: dark) {
  :root { --t-prompt: #333d47; --t-target: #1d5440; --t-edge: #dfe5ea; --t-edge-ink: #12171c; }
}
nav { margin-top: 16px; }
nav a { display: inline-block; margin: 0 14px 4px 0; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 16px;
  align-items: start; }
.panel { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; min-width: 0; }
.panel table { border: 0; }
.panel table + table { margin-top: 14px; }
.panel th, .panel td { padding: 4px 8px; font-size: .88rem; font-weight: 400; }
.panel td.n { text-align: right; font-variant-numeric: tabular-nums; width: 1%;
  white-space: nowrap; }
.panel td.b { width: 40%; }
.bar { display: block; height: 10px; margin-top: 6px; border-radius: 2px; background: var(--ref);
  min-width: 1px; }
.bar.out { background: var(--pred); }
.hist { width: 100%; height: auto; display: block; overflow: visible; }
.hist rect { fill: var(--ref); }
.hist line { stroke: var(--pred); stroke-width: 1.5; }
.hist .axis { stroke: var(--line); }
.hist text { fill: var(--soft); font-size: 11px; }
.hist text.bucket { fill: var(--ink); }
.example { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 16px; margin-bottom: 20px; }
.example h4 { font-size: 1rem; text-transform: none; letter-spacing: 0; color: var(--ink);
  margin: 0 0 10px; }
.example h5 { font-size: .72rem; margin: 10px 0 2px; text-transform: uppercase;
  letter-spacing: .06em; color: var(--soft); }
.picture { display: grid; grid-template-columns: minmax(0, 400px) minmax(0, 1fr); gap: 18px; }
.picture img { width: 100%; height: auto; display: block; background: #000; border-radius: 4px; }
.channels { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 6px;
  margin-top: 8px; }
.channels figcaption { font-size: .72rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.text { border-left: 3px solid var(--line); padding: 0 0 4px 12px; margin-bottom: 14px;
  overflow-wrap: anywhere; }
.text .meta { margin: 0; }
.nl::before { content: "↵"; color: var(--down); }
.tag { color: var(--soft); font-size: .92em; }
mark { background: none; color: inherit; font-weight: 600; box-shadow: inset 0 -3px var(--c); }
.e0 { --c: #e69f00; } .e1 { --c: #56b4e9; } .e2 { --c: #009e73; } .e3 { --c: #f0e442; }
.e4 { --c: #d55e00; } .e5 { --c: #cc79a7; } .e6 { --c: #0072b2; }
.found { width: auto; max-width: 100%; border: 0; background: none; }
.found th, .found td { padding: 2px 12px 2px 0; font-size: .85rem; font-weight: 400; border: 0; }
.found td.n { font-variant-numeric: tabular-nums; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 6px;
  background: var(--c); vertical-align: -1px; }
.warned { color: var(--down); }
.strip { line-height: 1; margin: 0 0 6px; }
.strip > span { display: inline-block; padding: 3px 4px 2px; margin: 0 2px 3px 0; min-width: 1.9em;
  border-radius: 3px; background: var(--t-prompt); text-align: center; font-size: .8rem; }
.strip b { display: block; font-weight: 400; white-space: pre; }
.strip i { display: block; font-style: normal; font-size: .62rem; color: var(--soft);
  margin-top: 2px; font-variant-numeric: tabular-nums; }
.strip .target, .strip .eos { box-shadow: inset 0 -3px var(--up); }
.strip .target { background: var(--t-target); }
.strip .bos, .strip .eos { background: var(--t-edge); color: var(--t-edge-ink); }
.strip .bos i, .strip .eos i { color: inherit; opacity: .8; }
.strip .separator { background: var(--t-sep); color: var(--t-sep-ink); }
.strip .separator i { color: inherit; }
.strip .pad { background: none; border: 1px dashed var(--line); }
.tokens td, .tokens th { padding: 2px 10px; font-size: .8rem; white-space: pre;
  font-variant-numeric: tabular-nums; }
.tokens tr.target td:first-child, .tokens tr.eos td:first-child {
  box-shadow: inset 3px 0 var(--up); }
.tokens tr.bos td { border-top: 2px solid var(--t-edge); }
.tokens tr.separator td { border-bottom: 2px solid var(--t-sep); }
@media (max-width: 760px) {
  .picture { grid-template-columns: minmax(0, 1fr); }
  .example { padding: 12px; }
  .two { grid-template-columns: minmax(0, 1fr); }
}
"""

# The additional styles of the pages of a run and of an evaluation. The lines of curves are blue,
# vermillion, green and purple. The first line is solid, and each other line has its own dashes. On
# a light background the first three colours are those of Okabe and Ito's palette, and the purple is
# darker than theirs. On a dark background the blue is their sky blue, the purple is theirs, and the
# other two are lighter than theirs.
RUN = """
:root { --l0: #0072b2; --l1: #d55e00; --l2: #009e73; --l3: #b4558f; }
@media (prefers-color-scheme: dark) {
  :root { --l0: #56b4e9; --l1: #e8793a; --l2: #2fbf93; --l3: #cc79a7; }
}
.lead { margin-top: 8px; }
.below { margin-top: 8px; }
.charts { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr)); }
.chart { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px 8px; min-width: 0; }
.chart figcaption { margin: 0 0 4px; color: var(--ink); display: flex; flex-wrap: wrap;
  gap: 0 14px; align-items: baseline; min-height: 2.8em; align-content: flex-start; }
.chart figcaption > b { flex: 1 0 100%; font-size: .95rem; }
.chart > svg { width: 100%; height: auto; display: block; overflow: visible; }
.chart text { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
.chart polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .restart { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.chart .ideal { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 1 4;
  stroke-linecap: round; }
.chart .missing { fill: none; stroke: var(--down); stroke-width: 1.5; }
.chart .dot { r: 3px; stroke: none; }
.chart .meta { margin: 2px 0 0; min-height: 1.2em; }
.line { font-size: .82rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
.line svg { width: 24px; height: 8px; margin-right: 6px; }
polyline.s0 { stroke: var(--l0); } .dot.s0 { fill: var(--l0); }
polyline.s1 { stroke: var(--l1); stroke-dasharray: 7 3; } .dot.s1 { fill: var(--l1); }
polyline.s2 { stroke: var(--l2); stroke-dasharray: 2 3; } .dot.s2 { fill: var(--l2); }
polyline.s3 { stroke: var(--l3); stroke-dasharray: 8 3 2 3; } .dot.s3 { fill: var(--l3); }
.plain td, .plain th { font-size: .85rem; padding: 6px 10px; }
.plain td:last-child { min-width: 200px; overflow-wrap: anywhere; }
.scroll + .scroll { margin-top: 16px; }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px; max-height: 60vh; overflow: auto; }
pre.table { white-space: pre; overflow-wrap: normal; }
pre.columns { columns: 3 220px; max-height: none; }
"""

# The additional styles of pages with samples. Boxes and masks lie over the image, and each is
# highlighted together with its phrase.
GALLERY = """
.filter { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 8px;
  align-items: center; margin: 40px 0 -24px; padding: 10px 0; background: var(--ground); }
.filter[hidden], .card[hidden] { display: none; }
.filter input { flex: 1 1 180px; min-width: 0; }
.filter input, .filter select, .filter button { font: inherit; font-size: .88rem; padding: 6px 8px;
  max-width: 100%; color: var(--ink); background: var(--paper); border: 1px solid var(--line);
  border-radius: 6px; }
.filter output { font-size: .85rem; color: var(--soft); font-variant-numeric: tabular-nums; }
section.empty > .cards::before { content: "No sample fits."; color: var(--soft);
  font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr));
  gap: 16px; align-items: start; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; display: flex; flex-direction: column; }
.card img { width: 100%; height: auto; display: block; background: #000; }
.card .text { padding: 10px 14px 12px; overflow-wrap: anywhere; }
.card p { margin-bottom: 4px; }
.prompt { white-space: pre-line; border-left: 3px solid var(--line); padding-left: 8px;
  font-size: .9rem; }
.stage { position: relative; }
.stage svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.stage g { outline: none; }
.stage rect, .stage path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke;
  pointer-events: all; }
.stage path { pointer-events: stroke; }
.stage .in { stroke: none; fill-opacity: .22; pointer-events: fill; }
.stage .ref rect, .stage .ref path { stroke: #56b4e9; }
.stage .pred rect, .stage .pred path { stroke: #e69f00; stroke-dasharray: 7 4; }
.stage .ref .in { fill: #56b4e9; stroke: none; }
.stage .pred .in { fill: #e69f00; stroke: none; }
.stage text { paint-order: stroke; stroke: #000; stroke-opacity: .75; stroke-width: .22em;
  stroke-linejoin: round; font-weight: 600; pointer-events: none; }
.stage .ref text { fill: #8fd0f5; }
.stage .pred text { fill: #ffc53d; }
.linked .stage g:not(.on) { opacity: .15; }
.linked .stage .on rect, .linked .stage .on path { stroke-width: 3.5; }
.linked .stage .on .in { fill-opacity: .4; }
.linked mark:not(.on) { opacity: .45; }
mark[data-entity] { cursor: default; }
mark.on { outline: 2px solid currentColor; outline-offset: 1px; }
.window { position: absolute; left: 6px; bottom: 4px; font-size: .72rem; color: #fff;
  background: rgb(0 0 0 / .55); padding: 0 5px; border-radius: 4px; pointer-events: none; }
.windows { display: flex; gap: 10px; padding: 8px 14px 0; }
.windows button { flex: 1; display: flex; gap: 8px; align-items: center; padding: 0; border: 0;
  background: none; color: var(--soft); font: inherit; font-size: .76rem; line-height: 1.3;
  text-align: left; cursor: pointer; }
.windows button img { width: 52px; border-radius: 4px; }
.tag { font-size: .74rem; font-weight: 600; padding: 1px 7px; border-radius: 10px;
  background: var(--ground); color: var(--ink); white-space: nowrap; }
.tag.hallucination, .tag.miss, .tag.wrong { color: var(--down); }
.tag.best, .tag.right { color: var(--up); }
.chips { margin: 0; padding-top: 8px; }
.chips span { display: inline-block; font-size: .8rem; background: var(--ground); padding: 1px 8px;
  border-radius: 10px; margin: 2px 4px 0 0; }
.legend { font-size: .9rem; }
.key { display: inline-block; width: 26px; height: 14px; vertical-align: -2px;
  border: 3px solid var(--ref); margin: 0 4px 0 12px; }
.key:first-child { margin-left: 0; }
.key.pred { border: 3px dashed var(--pred); }
.no-picture { aspect-ratio: 1; margin: 0; display: grid; place-items: center; padding: 20px;
  background: var(--ground); color: var(--soft); font-size: .85rem; text-align: center; }
@media (max-width: 640px) { .filter { position: static; } }
@media print { .card { break-inside: avoid; } .filter { display: none; } }
"""

# The additional styles of the cards of scores on the page of an evaluation.
TILES = """
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr));
  gap: 16px; align-items: start; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 16px; min-width: 0; }
.tile .scores th, .tile .scores td { padding: 4px 6px; font-size: .8rem; }
.tile .scores td { white-space: nowrap; font-weight: 400; }
.tile h3 { margin: 0; color: var(--ink); }
.number { margin: 6px 0 4px; }
.number b { font-size: 2rem; line-height: 1.1; font-variant-numeric: tabular-nums; }
.number span, .ticks { color: var(--soft); font-size: .85rem; font-variant-numeric: tabular-nums; }
.bar { position: relative; height: 10px; border-radius: 5px; background: var(--ground);
  box-shadow: inset 0 0 0 1px var(--line); }
.bar i { position: absolute; top: 0; bottom: 0; }
.bar .band { background: var(--ref); opacity: .45; min-width: 3px; border-radius: 5px; }
.bar .mean { width: 3px; margin-left: -1px; background: var(--ink); }
.bar .control { border-left: 2px solid var(--t); top: -3px; bottom: -3px; margin-left: -1px; }
.ticks span { margin-right: 12px; white-space: nowrap; }
.ticks i { display: inline-block; height: 12px; border-left: 3px solid var(--t); margin-right: 5px;
  vertical-align: -1px; }
.blank { --t: #e69f00; } .shuffled { --t: #cc79a7; } .mirrored { --t: #009e73; }
.chance { --t: var(--soft); }
.groups { display: grid; grid-template-columns: minmax(0, 9rem) 1fr; gap: 4px 10px; margin: 0;
  font-size: .85rem; align-items: center; }
.groups dt { font-size: .82rem; color: var(--ink); overflow-wrap: anywhere; }
.groups dd { display: flex; gap: 8px; align-items: center; font-weight: 400; }
.groups .bar { flex: 1; }
"""

# The additional styles of the section about confidence on the page of an evaluation.
CONFIDENCE = """
.sure td, .sure th { font-size: .85rem; padding: 5px 10px; }
.sure td { white-space: nowrap; }
.sure.scores td:nth-child(2) { font-weight: 400; }
.sure tbody th { min-width: 10rem; }
.sure small { display: block; color: var(--soft); font-size: .76rem; line-height: 1.35; }
.said p { font-size: .88rem; margin-bottom: 6px; }
.said b { font-size: .95rem; }
.reading { max-width: 75ch; font-size: .92rem; }
.reading li { margin-bottom: 4px; }
"""
