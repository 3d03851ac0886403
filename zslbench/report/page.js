// The page is whole without this script: plain tables, a card for every method below. With it, tables sort and filter,
// columns are chosen, the rule for the epoch is switched, and a method's card opens where its name is.
const made = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// Sorting: headings become buttons. Rows that are no ranked methods stay below, in their order of kinds.
const KINDS = ["", "unranked", "bound"];
const sortable = (table) => {
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column, numeric) => {
    const text = row.cells[column].dataset.value;
    return text === undefined ? null : numeric ? Number(text) : text.toLowerCase();
  };
  heads.forEach((head, column) => {
    const button = made("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const order = now ? (now === "ascending" ? "descending" : "ascending") : head.dataset.first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const numeric = head.dataset.kind === "number";
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].map((row) => ({
        row, value: valueOf(row, column, numeric), kind: KINDS.indexOf(row.className),
      }));
      rows.sort((a, b) => {
        if (a.kind !== b.kind) return a.kind - b.kind;
        if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
        return sign * (numeric ? a.value - b.value : a.value.localeCompare(b.value, "en"));
      });
      table.tBodies[0].append(...rows.map(({ row }) => row));
    });
  });
};
document.querySelectorAll("table.sortable").forEach(sortable);

const labelled = (text, control) => made("label", {}, `${text} `, control);
const choice = (text, values, words, changed) => {
  const select = made("select", {}, ...values.map((value) => new Option(words(value), value)));
  select.addEventListener("change", changed);
  return [select, labelled(text, select)];
};

// Above each leaderboard: which rows, which columns, which rule.
for (const boards of document.querySelectorAll(".boards")) {
  const panels = [...boards.querySelectorAll(".rule")];
  const tables = panels.map((panel) => panel.querySelector("table"));
  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  const bar = made("div", { className: "bar" });
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "What the table shows");
  let counted = () => {}; // of the table that is shown
  if (panels.length > 1) {
    const [rule, label] = choice("Epoch", panels.map((_, at) => at), (at) => panels[at].dataset.rule, () => {
      panels.forEach((panel, at) => { panel.hidden = at !== Number(rule.value); });
      counted();
    });
    bar.append(label);
  }
  if (tables[0].tBodies[0].rows.length > 3) {
    const count = made("span", { className: "soft" });
    count.setAttribute("role", "status");
    const text = made("input", { type: "search", size: 14 });
    const distinct = (name) => [...new Set(rows.map((row) => row.dataset[name] ?? ""))].sort();
    const filter = () => {
      const words = text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const said = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => said.includes(word))
          || (family.value !== "*" && row.dataset.family !== family.value)
          || (variant.value !== "*" && (row.dataset.variant ?? "") !== variant.value);
      }
      counted();
    };
    counted = () => {
      const shown = [...tables[panels.findIndex((panel) => !panel.hidden)].tBodies[0].rows];
      const left = shown.filter((row) => !row.hidden).length;
      count.textContent = left < shown.length ? `${left} of ${shown.length} rows` : "";
    };
    const [family, familyLabel] = choice(
      "Family", ["*", ...distinct("family")], (value) => (value === "*" ? "all" : value), filter);
    const [variant, variantLabel] = choice(
      "Variant", ["*", ...distinct("variant")],
      (value) => ({ "*": "all", "": "as published" })[value] ?? value, filter);
    text.addEventListener("input", filter);
    bar.append(labelled("Find", text));
    if (family.options.length > 2) bar.append(familyLabel);
    if (variant.options.length > 2) bar.append(variantLabel);
    bar.append(chosenColumns(tables), count);
  }
  if (bar.childElementCount) boards.prepend(bar);
}

// Columns: what a narrow screen, or a table where two columns are equal, leaves out at first can be asked for.
function chosenColumns(tables) {
  const heads = [...tables[0].tHead.rows[0].cells];
  const isShown = (head) => getComputedStyle(head).display !== "none";
  const list = made("div");
  const boxes = heads.map((head, column) => {
    const box = made("input", { type: "checkbox" });
    if (column !== 1) list.append(made("label", {}, box, ` ${head.textContent}`)); // a row keeps its method
    box.addEventListener("change", () => {
      for (const table of tables) {
        table.classList.add("chosen");
        const titles = [...table.tHead.rows[0].cells].map((head) => head.textContent);
        const places = heads.map((head) => titles.indexOf(head.textContent)); // tables may differ in their columns
        for (const row of table.rows) {
          places.forEach((place, at) => { if (at !== 1 && place >= 0) row.cells[place].hidden = !boxes[at].checked; });
        }
      }
    });
    return box;
  });
  const columns = made("details", { className: "columns" }, made("summary", { textContent: "Columns" }), list);
  columns.addEventListener("toggle", () => boxes.forEach((box, at) => { box.checked = isShown(heads[at]); }));
  // It lies over the table: a click elsewhere or Escape puts it away.
  document.addEventListener("click", (event) => { if (!columns.contains(event.target)) columns.open = false; });
  columns.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    columns.open = false;
    columns.firstElementChild.focus();
  });
  return columns;
}

// A narrow screen shows figures whole and small; a button makes one as large as its text needs, to be scrolled.
for (const box of document.querySelectorAll(".box.drawing")) {
  const button = made("button", { type: "button", className: "enlarge", textContent: "Enlarge" });
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(box.classList.toggle("large")));
  });
  box.before(button);
}

// Above the page: one track, or all.
const parts = [...document.querySelectorAll("main > section[data-track]")];
const tracks = [...new Set(parts.map((part) => part.dataset.track))];
if (tracks.length > 1) {
  const links = [...document.querySelectorAll("[data-of]")];
  const [track, label] = choice("Track", ["*", ...tracks], (value) => (value === "*" ? "all" : value), () => {
    for (const part of parts) part.hidden = track.value !== "*" && part.dataset.track !== track.value;
    for (const link of links) link.hidden = document.getElementById(link.dataset.of).closest("section").hidden;
  });
  const bar = made("div", { className: "bar" }, label);
  document.querySelector("nav").before(bar);
}

// A method's card, which stands below, in a dialog.
const dialog = made("dialog");
dialog.setAttribute("aria-label", "Method");
document.body.append(dialog);
const copied = async (button, text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = made("textarea", { value: text });
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
};
for (const entry of document.querySelectorAll("article.card pre")) {
  entry.before(made("button", { type: "button", className: "copy", textContent: "Copy BibTeX" }));
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.card");
  const copy = event.target.closest("button.copy");
  if (copy) copied(copy, copy.nextElementSibling.textContent);
  if (event.target === dialog || event.target.closest("button.close")) dialog.close();
  if (!link || !link.getAttribute("href").startsWith("#") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const card = document.getElementById(link.hash.slice(1)).cloneNode(true);
  card.removeAttribute("id");
  card.querySelectorAll("details").forEach((each) => { each.open = true; });
  dialog.replaceChildren(made("button", { type: "button", className: "close", textContent: "Close" }), card);
  dialog.showModal();
});

// On paper nothing is folded that says what was measured.
addEventListener("beforeprint", () => document.querySelectorAll("details.unseen").forEach((each) => { each.open = true; }));
