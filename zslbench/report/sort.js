// Headings of sortable tables become buttons; without this script they are plain tables.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column, numeric) => {
    const text = row.cells[column].dataset.value;
    return text === undefined ? null : numeric ? Number(text) : text.toLowerCase();
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const order = now ? (now === "ascending" ? "descending" : "ascending") : head.dataset.first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const numeric = head.dataset.kind === "number";
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: valueOf(row, column, numeric) }));
      rows.sort((a, b) => {
        if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
        return sign * (numeric ? a.value - b.value : a.value.localeCompare(b.value, "en"));
      });
      table.tBodies[0].append(...rows.map(({ row }) => row));
    });
  });
}
