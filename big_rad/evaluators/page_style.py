"""The document and the style sheet of the run page; no logic."""

DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
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

CSS = """
:root { --ink: #1b2229; --soft: #5a6673; --line: #dde3e8; --paper: #fff; --ground: #f4f6f8;
  --ref: #0072b2; --pred: #e69f00; --up: #006b4f; --down: #b03a00; }
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
.warn { display: inline-block; padding: 2px 10px; border-radius: 4px; background: #fff4d6;
  border: 1px solid #eed9a0; font-size: .85rem; }
.note, .meta, figcaption, small { color: var(--soft); font-size: .85rem; }
.note { max-width: 80ch; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 1px;
  margin: 16px 0 0; background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.facts div { box-shadow: 0 0 0 1px var(--line); padding: 10px 14px; }
dt { color: var(--soft); font-size: .78rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
.loss { width: 100%; height: 140px; background: var(--paper); border: 1px solid var(--line);
  border-radius: 8px; display: block; padding: 8px; }
.loss polyline { fill: none; stroke: var(--ref); stroke-width: 2;
  vector-effect: non-scaling-stroke; }
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
footer { margin-top: 40px; padding-top: 12px; border-top: 1px solid var(--line); }
.scroll + .note, figcaption { margin-top: 6px; }
.same { color: var(--soft); }
.up { color: var(--up); }
.down { color: var(--down); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 16px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; display: flex; flex-direction: column; }
.card img { width: 100%; height: auto; display: block; background: #000; }
.card .text { padding: 12px 14px; overflow-wrap: anywhere; flex: 1; display: flex;
  flex-direction: column; }
.card p { margin-bottom: 4px; }
.prompt { white-space: pre-line; border-left: 3px solid var(--line); padding-left: 8px;
  font-size: .9rem; }
code { font-size: .78rem; overflow-wrap: anywhere; }
mark { padding: 0 2px; border-radius: 2px; color: inherit; }
mark.ref { background: #d3e8f5; box-shadow: inset 0 -2px var(--ref); }
mark.pred { background: #fdefd0; box-shadow: inset 0 -2px var(--pred); }
.chips { margin-top: auto; padding-top: 8px; }
.chips span { display: inline-block; font-size: .8rem; background: var(--ground); padding: 1px 8px;
  border-radius: 10px; margin: 2px 4px 0 0; }
.legend { font-size: .9rem; }
.key { display: inline-block; width: 26px; height: 14px; vertical-align: -2px;
  border: 3px solid var(--ref); margin: 0 4px 0 12px; }
.key:first-child { margin-left: 0; }
.key.pred { border: 3px dashed var(--pred); }
.vqa img { width: 88px; height: auto; display: block; border-radius: 4px; background: #000; }
.vqa td { overflow-wrap: anywhere; }
.vqa td:last-child { white-space: nowrap; }
.vqa td:nth-child(2) { width: 44%; }
@media (max-width: 640px) {
  main { padding: 20px 14px 40px; }
  h1 { font-size: 1.5rem; }
  .facts { grid-template-columns: repeat(2, 1fr); }
  .cards { grid-template-columns: 1fr; }
  .scores th, .scores td { padding: 6px 6px; font-size: .82rem; }
  .vqa thead { display: none; }
  .vqa, .vqa tbody, .vqa tr, .vqa td { display: block; width: auto !important; }
  .vqa tr { border-bottom: 1px solid var(--line); padding: 10px 4px; }
  .vqa td { border: 0; padding: 3px 10px; }
  .vqa td::before { content: attr(data-label); display: block; font-size: .72rem;
    text-transform: uppercase; letter-spacing: .06em; color: var(--soft); }
  .vqa td:first-child::before { display: none; }
}
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""
