"use strict";
// Sorting, filtering and copying. Without JavaScript, everything can still be read.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const order = new Intl.Collator("en", { numeric: true });
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = new Map(rows.map((row) => [row, row.cells[column].textContent]));
      rows.sort((a, b) => (down ? -1 : 1) * order.compare(text.get(a), text.get(b)));
      body.append(...rows);
    });
  });
}
for (const table of document.querySelectorAll("table.filterable")) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 10) continue;  // all are in view
  const label = document.createElement("label");
  label.textContent = `Filter ${table.dataset.of} `;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = table.dataset.hint || "order, domain, reason …";
  label.append(input);
  const count = document.createElement("output");
  const controls = document.createElement("div");
  controls.className = "controls";
  controls.append(label, count);
  table.closest(".wide").before(controls);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, place) => {
      row.hidden = !words.every((word) => texts[place].includes(word));
      shown += !row.hidden;
    });
    count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };
  input.addEventListener("input", show);
  show();
}
const copy = async (pre, button) => {
  try {
    await navigator.clipboard.writeText(pre.textContent);
  } catch {
    // Not every browser lets a page from disk do that.
    getSelection().selectAllChildren(pre);
    if (!document.execCommand("copy")) {
      button.textContent = "Selected: press Ctrl-C";
      return;
    }
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
};
for (const pre of document.querySelectorAll("pre.command")) {
  const beside = document.createElement("div");
  beside.className = "copied";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", () => copy(pre, button));
  pre.before(beside);
  beside.append(pre, button);
}
const age = document.querySelector(".age");
if (age) {
  const banner = document.querySelector(".banner");
  const isKept = "refresh" in age.dataset;  // it is written again and again
  const units = [[172_800, 86_400, "days"], [7_200, 3_600, "h"], [120, 60, "min"], [0, 1, "s"]];
  const showAge = () => {
    const s = Math.max(0, Math.round((Date.now() - Date.parse(age.dataset.written)) / 1000));
    const [, each, unit] = units.find(([least]) => s >= least);
    age.querySelector("span").textContent = `, ${Math.floor(s / each)} ${unit} ago`;
    const isOld = isKept && s > 150;
    age.classList.toggle("old", isOld);
    banner.classList.toggle("under_way", !isOld);
    banner.classList.toggle("needs_action", isOld);
    banner.querySelector(".state").textContent = isOld ? "cut off?" : "under way";
  };
  showAge();
  setInterval(showAge, 1000);
  if (isKept) {
    // A reader may want to stay where they are. Without JavaScript, the browser reloads the page.
    const again = setTimeout(() => location.reload(), age.dataset.refresh * 1000);
    const stop = document.createElement("button");
    stop.type = "button";
    stop.className = "copy";
    stop.textContent = "Stop reloading";
    stop.addEventListener("click", () => { clearTimeout(again); stop.remove(); });
    age.after(stop);
  }
}
