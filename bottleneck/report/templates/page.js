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
// Paper cannot be opened: print what is folded, but for what a figure shows already.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open], .again)")];
  folded.forEach((details) => (details.open = true));
});
addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));
// Only what scrolls has to be reached by key.
const watch = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    const scrolls = target.scrollWidth > target.clientWidth;
    const facts = { tabindex: "0", role: "region", "aria-label": target.dataset.name };
    for (const [name, value] of Object.entries(facts)) {
      if (scrolls) target.setAttribute(name, value);
      else target.removeAttribute(name);
    }
  }
});
document.querySelectorAll(".scroll").forEach((part) => watch.observe(part));
