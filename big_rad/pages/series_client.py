"""The style sheet and the JavaScript of the page of a series.

The script shows one slice instead of all, and changes the window in which all are shown. The
security policy of the page has the hash of the script, so that no other script can run.
"""

# The first colours are those of `draw.PALETTE`, but the blue is lighter, since pictures are dark.
# Marks are drawn again in the strip by <use>. Selectors cannot refer to what is around such copies,
# so marks have a class of their own.
STYLE = """
.c0 { --c: #e69f00; } .c1 { --c: #56b4e9; } .c2 { --c: #00b383; } .c3 { --c: #f0e442; }
.c4 { --c: #e8702a; } .c5 { --c: #d98cb6; } .c6 { --c: #7f9dff; } .c7 { --c: #a6d854; }
.c8 { --c: #c39bff; } .c9 { --c: #f26d7d; } .c10 { --c: #4fd6d6; } .c11 { --c: #d8b98a; }
.away { --c: var(--line); }
.filters { position: absolute; width: 0; height: 0; }
.warnings { margin-top: 16px; background: var(--warn); border: 1px solid var(--warn-line);
  border-radius: 8px; padding: 6px 14px; font-size: .9rem; }
.warnings summary { color: inherit; font-weight: 600; }
.warnings ul { margin: 2px 0 8px; padding-left: 20px; }
.viewer { margin-top: 32px; }
.player, .look { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center;
  margin-bottom: 8px; }
.player[hidden], .look[hidden], .hint[hidden] { display: none; }
.player > [type=range] { flex: 1 1 180px; min-width: 0; }
.player output { font-variant-numeric: tabular-nums; font-weight: 600; min-width: 11em; }
.player button, .look button { font: inherit; font-size: .88rem; padding: 6px 12px;
  color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px;
  cursor: pointer; }
.look span { display: flex; flex-wrap: wrap; gap: 6px; }
.look button[aria-pressed=true] { border-color: var(--ref); box-shadow: inset 0 0 0 1px var(--ref);
  font-weight: 600; }
.look label, .player label { display: flex; gap: 6px; align-items: center; font-size: .85rem;
  color: var(--soft); }
.look output { min-width: 3em; font-variant-numeric: tabular-nums; }
.strip { position: relative; display: flex; gap: 4px; padding: 4px 0 8px; }
.strip a { position: relative; flex: none; width: clamp(36px, calc(64px * var(--a, 1)), 110px);
  border: 2px solid var(--line); border-radius: 4px; text-decoration: none; overflow: hidden;
  background: #000; color: #fff; font-size: .7rem; line-height: 1.3; text-align: center; }
.strip img { display: block; width: 100%; aspect-ratio: var(--a, 1); object-fit: fill; }
.strip svg { position: absolute; left: 0; top: 0; width: 100%; aspect-ratio: var(--a, 1); }
.strip a { display: flex; flex-direction: column; }
.strip span { margin-top: auto; font-variant-numeric: tabular-nums; color: #b8c2cc; }
.strip .has span { color: #fff; font-weight: 700; }
.strip a.on { border-color: var(--pred); }
.ct > img, .ct .stage > img { filter: url(#look-ct); }
.grey > img, .grey .stage > img { filter: url(#look-grey); }
.slice { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 16px 16px; margin: 8px 0 16px; }
.one .slice:not(.on) { display: none; }
.slice h3 { margin: 0 0 8px; color: var(--ink); overflow-wrap: anywhere; }
.slice h3 small { font-weight: 400; margin-left: 6px; }
.view { display: grid; grid-template-columns: minmax(0, 1.55fr) minmax(0, 1fr); gap: 20px;
  align-items: start; }
.stage { position: relative; width: min(100%, calc(80vh * var(--a))); aspect-ratio: var(--a);
  margin: 0 auto; background: #000; border-radius: 4px; overflow: hidden;
  touch-action: pan-y pinch-zoom; }
.stage > img, .stage > svg { position: absolute; inset: 0; width: 100%; height: 100%;
  user-select: none; }
.mark { fill: none; stroke: var(--c); stroke-width: var(--line-width, 2); fill-rule: evenodd;
  vector-effect: non-scaling-stroke; }
.mark.mask { fill: var(--c); fill-opacity: var(--tint, .2); }
rect.mark { pointer-events: all; }
.strip svg { --line-width: 1; --tint: .12; }
.stage text { fill: var(--c); paint-order: stroke; stroke: #000; stroke-opacity: .8;
  stroke-width: .24em; stroke-linejoin: round; font-weight: 600; pointer-events: none; }
.bare .stage svg, .bare .strip svg, .bare .doubt { display: none; }
.linked .stage [data-entity]:not(.on) { opacity: .15; }
.linked .stage .on { --line-width: 3.5; }
.stage b { position: absolute; color: #fff; font-size: .85rem;
  text-shadow: 0 0 2px #000, 0 0 3px #000, 0 0 4px #000;
  pointer-events: none; }
.stage .left { left: 6px; top: calc(50% - .7em); } .stage .right { right: 6px;
  top: calc(50% - .7em); }
.stage .head { top: 2px; left: calc(50% - .4em); } .stage .foot { bottom: 2px;
  left: calc(50% - .4em); }
.doubt { position: absolute; left: 6px; bottom: 4px; max-width: 42%; font-size: .72rem; color: #fff;
  background: rgb(0 0 0 / .55); padding: 0 5px; border-radius: 4px; pointer-events: none; }
.said h4:first-child { margin-top: 0; }
.words { overflow-wrap: anywhere; white-space: pre-line; }
.words mark { background: none; box-shadow: inset 0 -3px var(--c); }
.found { list-style: none; margin: 0; padding: 0; font-size: .92rem; }
.found li { padding: 1px 0; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 6px;
  background: var(--c); vertical-align: -1px; }
.swatch.none { background: none; border: 1px dashed var(--soft); }
.failed { color: var(--down); }
.saw { display: flex; gap: 8px; }
.saw figure { flex: 0 1 160px; min-width: 0; }
.saw img { width: 100%; display: block; background: #000; border-radius: 4px; }
.saw figcaption { font-size: .72rem; line-height: 1.3; }
.no-picture { aspect-ratio: 1; margin: 0; display: grid; place-items: center; padding: 20px;
  background: var(--ground); color: var(--soft); font-size: .85rem; text-align: center; }
.matrix { width: auto; border-collapse: separate; border-spacing: 0; }
.matrix th, .matrix td { padding: 3px 2px; font-size: .76rem; text-align: center;
  font-variant-numeric: tabular-nums; min-width: 26px; }
.matrix thead th { cursor: pointer; }
.matrix thead th:first-child { cursor: default; }
.matrix tr > th:first-child { position: sticky; left: 0; z-index: 1; background: var(--paper);
  text-align: left; padding: 3px 10px; font-size: .85rem; font-weight: 400; white-space: nowrap;
  border-right: 1px solid var(--line); }
.matrix td { position: relative; cursor: pointer; }
.matrix a { position: relative; display: block; text-decoration: none; }
.matrix a::before { content: ""; position: absolute; inset: -3px -1px; background: var(--c);
  opacity: calc(.12 + .38 * var(--p)); border-radius: 2px; z-index: -1; }
.matrix td { isolation: isolate; }
.matrix .on { box-shadow: inset 1px 0 var(--ink), inset -1px 0 var(--ink); }
.dense th, .dense td { min-width: 7px; padding: 3px 0; }
.dense thead th { overflow: visible; white-space: nowrap; max-width: 7px; font-weight: 400; }
.dense thead th:first-child { max-width: none; }
.dense td { vertical-align: middle; }
.dense a { height: 1.2em; overflow: hidden; color: transparent; width: 7px; }
.dense a::before { inset: 0; border-radius: 0; opacity: calc(.15 + .85 * var(--p)); }
.regions th, .regions td { font-size: .88rem; padding: 6px 10px; }
.regions tbody th { font-weight: 600; min-width: 9rem; }
.regions td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.regions small { display: block; font-weight: 400; line-height: 1.35; }
.regions td:last-child { min-width: 14rem; white-space: normal; }
@media (max-width: 760px) {
  .view { grid-template-columns: minmax(0, 1fr); }
  .slice { padding: 10px; }
  .matrix tr > th:first-child { max-width: 42vw; overflow: hidden; text-overflow: ellipsis;
    padding: 3px 6px; }
}
@media print { .player, .look, .hint { display: none; } .slice { break-inside: avoid; } }
"""

SCRIPT = """
(() => {
  const all = s => [...document.querySelectorAll(s)];
  const slices = all(".slice"), numbers = slices.map(s => s.id.slice(1));
  if (!slices.length) return;
  const viewer = document.querySelector(".viewer"), strip = document.querySelector(".strip");
  const player = document.querySelector(".player"), slider = player.querySelector("[type=range]");
  const looks = all(".look"), groups = new Map(numbers.map(n => [n, []]));
  for (const e of all("[data-slice]")) groups.get(e.dataset.slice).push(e);
  let at = -1;
  const show = (k, look) => {
    k = Math.max(0, Math.min(slices.length - 1, k));
    for (const [i, on] of [[at, false], [k, true]]) {
      if (i < 0) continue;
      slices[i].classList.toggle("on", on);
      for (const e of groups.get(numbers[i])) e.classList.toggle("on", on);
    }
    at = k;
    slider.value = k;
    slider.setAttribute("aria-valuetext", `slice ${numbers[k]}`);
    player.querySelector("output").value = `slice ${numbers[k]} (${k + 1} of ${slices.length})`;
    for (const e of looks) e.hidden = !slices[k].classList.contains(e.dataset.kind);
    const small = strip.children[k];
    strip.scrollLeft = small.offsetLeft - (strip.clientWidth - small.offsetWidth) / 2;
    for (const e of all(".scroll > .matrix")) {
      const cell = e.querySelector("thead .on"), box = e.parentNode;
      if (cell) box.scrollLeft = cell.offsetLeft - box.clientWidth / 2;
    }
    if (look) viewer.querySelector(".slices").scrollIntoView({block: "nearest"});
  };
  const named = hash => numbers.indexOf((hash || "").replace(/^#s/, ""));

  viewer.classList.add("one");
  for (const e of all(".hint, .player")) e.hidden = false;
  for (const e of all(".strip a, .matrix a")) e.tabIndex = -1;
  slider.addEventListener("input", () => show(+slider.value));
  player.querySelector(".marks").addEventListener("change",
    e => viewer.classList.toggle("bare", !e.target.checked));
  addEventListener("hashchange", () => named(location.hash) < 0 || show(named(location.hash)));
  document.addEventListener("keydown", e => {
    if (e.altKey || e.ctrlKey || e.metaKey || e.target.closest("[type=range]")) return;
    const to = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: slices.length - 1}[e.key];
    if (to === undefined) return;
    e.preventDefault();
    show(to);
  });
  document.addEventListener("click", e => {
    const step = e.target.closest("[data-step]"), link = e.target.closest("a[href^='#s']");
    const cell = e.target.closest("[data-slice]");
    if (step) return show(at + +step.dataset.step);
    const k = link ? named(link.hash) : cell ? numbers.indexOf(cell.dataset.slice) : -1;
    if (k < 0) return;
    e.preventDefault();
    show(k, !e.target.closest(".strip"));
  });
  let from = null;
  viewer.addEventListener("pointerdown", e => {
    from = e.isPrimary && e.target.closest(".stage") ? e : null;
  });
  addEventListener("pointerup", e => {
    const dx = from ? e.clientX - from.clientX : 0, dy = from ? e.clientY - from.clientY : 0;
    from = null;
    if (Math.abs(dx) > 40 && Math.abs(dx) > 2 * Math.abs(dy)) show(at + (dx < 0 ? 1 : -1));
  });

  for (const look of looks) {
    const ct = look.dataset.kind === "ct", presets = [...look.querySelectorAll("button")];
    const inputs = [...look.querySelectorAll("input")];
    const values = ct ? look.dataset.values.split(" ").map(Number)
      : Array.from({length: 256}, (_, i) => i);
    const draw = () => {
      let [level, width] = inputs.map(i => +i.value);
      for (const p of presets) {
        const same = inputs.every(i => +p.dataset[i.name] === +i.value);
        p.setAttribute("aria-pressed", same);
      }
      for (const i of inputs) i.nextElementSibling.value = i.value;
      if (!ct) [level, width] = [127.5 - 1.275 * level, 255 / 2 ** (width / 33)];
      const grey = values.map(
        v => Math.max(0, Math.min(1, (v - level) / width + 0.5)).toFixed(4)).join(" ");
      for (const f of document.querySelector(`#look-${look.dataset.kind}`).firstChild.children)
        f.setAttribute("tableValues", grey);
    };
    for (const i of inputs) i.addEventListener("input", draw);
    for (const p of presets) p.addEventListener("click", () => {
      for (const i of inputs) i.value = p.dataset[i.name];
      draw();
    });
    draw();
  }
  for (const name of ["mouseover", "mouseout"]) viewer.addEventListener(name, e => {
    const mark = e.target.closest("[data-entity]"), slice = e.target.closest(".slice");
    if (!mark || !slice) return;
    slice.classList.toggle("linked", name === "mouseover");
    for (const m of slice.querySelectorAll("[data-entity]"))
      m.classList.toggle("on", name === "mouseover" && m.dataset.entity === mark.dataset.entity);
  });
  const marks = slices.map(s => +s.dataset.marks);
  const start = named(location.hash);
  show(start < 0 ? marks.indexOf(Math.max(...marks)) : start);
})();
"""
