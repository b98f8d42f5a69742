"""The JavaScript of pages with samples.

It filters the cards and switches CT windows. When the pointer or the focus is on a phrase, or on
its box or mask, it highlights both, and also the entities of the same class in the other text. The
security policy of the page has the hash of this script, so that no other script can run.
"""

GALLERY = """
(() => {
  const form = document.querySelector(".filter");
  const cards = [...document.querySelectorAll(".card")];
  if (form) {
    const texts = new Map(cards.map(c => [c, [...c.querySelectorAll(".words")].map(
      p => p.textContent.toLowerCase()).join(" ")]));
    const apply = () => {
      const words = form.elements.words.value.toLowerCase().split(/\\s+/).filter(Boolean);
      const wanted = [...form.querySelectorAll("select")].filter(s => s.value);
      let shown = 0;
      for (const card of cards) {
        const fits = words.every(w => texts.get(card).includes(w)) &&
          wanted.every(s => card.dataset[s.name].split(" ").includes(s.value));
        card.hidden = !fits;
        shown += fits;
      }
      for (const part of document.querySelectorAll("section")) {
        const own = [...part.querySelectorAll(".card")];
        if (own.length) part.classList.toggle("empty", own.every(c => c.hidden));
      }
      form.querySelector("output").value = `${shown} of ${cards.length} shown`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", e => e.preventDefault());
    form.addEventListener("reset", () => setTimeout(apply));
    apply();
  }
  const link = (event, on) => {
    const at = event.target.closest("[data-entity]");
    const card = at && at.closest(".card");
    if (!card) return;
    card.classList.toggle("linked", on);
    for (const e of card.querySelectorAll("[data-entity]")) {
      const same = e.dataset.entity === at.dataset.entity;
      const other = e.dataset.entity[0] !== at.dataset.entity[0] &&
        e.dataset.class === at.dataset.class;
      e.classList.toggle("on", on && (same || other));
    }
  };
  for (const name of ["mouseover", "focusin"]) document.addEventListener(name, e => link(e, true));
  for (const name of ["mouseout", "focusout"]) document.addEventListener(name, e => link(e, false));
  document.addEventListener("click", event => {
    const button = event.target.closest(".windows button");
    if (!button) return;
    const picture = button.closest(".picture");
    const main = picture.querySelector(".stage img"), small = button.querySelector("img");
    const caption = picture.querySelector(".window"), name = button.querySelector("span");
    [main.src, small.src] = [small.src, main.src];
    [caption.textContent, name.textContent] = [name.textContent, caption.textContent];
  });
})();
"""
