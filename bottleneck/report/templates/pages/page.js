for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...[...table.tHead.rows].at(-1).cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.ariaSort ? head.ariaSort !== "ascending" : column === 0;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const number = parseFloat(row.cells[column].dataset.sort);
        return Number.isNaN(number) ? (up ? Infinity : -Infinity) : number;
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * (value(a) - value(b) || 0)));
    });
  });
}
// Open folded sections for printing, except checklists, tables that repeat a figure, and what each
// arm has of its own: twelve arms would fill a hundred pages.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open], .again, .list, .each, .errors)")];
  folded.forEach((details) => (details.open = true));
});
addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));
// Make tables that scroll reachable by keyboard, and say that they scroll until their end is shown.
const regions = [...document.querySelectorAll(".scroll")];
const hints = new Map(regions.map((region) => [region, document.createElement("p")]));
const tell = (region) => {
  const left = region.scrollWidth - region.clientWidth - region.scrollLeft;
  hints.get(region).classList.toggle("ended", left < 2);
};
const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth + 1; // Rounding and borders can exceed by one.
    const attributes = { tabindex: "0", role: "region", "aria-label": `${target.dataset.name} (scrolls sideways)` };
    for (const [name, value] of Object.entries(attributes)) {
      if (scrolls) target.setAttribute(name, value);
      else target.removeAttribute(name);
    }
    target.style.setProperty("--shown", `${target.clientWidth}px`);
    hints.get(target).hidden = !scrolls;
    // A fixed column that leaves too little room for the others is let go.
    const first = target.querySelector("tbody tr > th:first-child:not([colspan])");
    target.classList.toggle("loose", first && first.offsetWidth > 0.6 * target.clientWidth);
    tell(target);
  }
});
for (const [region, hint] of hints) {
  hint.className = "hint";
  hint.hidden = true;
  hint.ariaHidden = "true";
  hint.textContent = "Scroll sideways for more columns →";
  region.before(hint);
  region.addEventListener("scroll", () => tell(region), { passive: true });
  watch.observe(region);
}
// Select a paragraph, and copy it where the browser lets a page do so.
document.querySelectorAll(".copied").forEach((text) => {
  const button = document.createElement("button");
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: copy it with Ctrl+C";
    }
  });
  text.after(button);
});
