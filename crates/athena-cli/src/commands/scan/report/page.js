"use strict";
// Sorts by a click on a heading and filters by what is typed; without this the table is as it was written.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column, kind) => {
    const cell = row.cells[column];
    return kind === "number" ? Number(cell.dataset.value) : cell.textContent;
  };
  const sort = (head, column) => {
    const kind = head.dataset.kind;
    const start = kind === "number" ? "descending" : "ascending";
    const other = start === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === start ? other : start;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    rows.sort((one, two) => {
      const [a, b] = [value(one, column, kind), value(two, column, kind)];
      return sign * (kind === "number" ? a - b : a.localeCompare(b));
    });
    body.append(...rows);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head, column));
  });
  const tools = table.closest("section").querySelector(".tools");
  const text = tools.querySelector("input[type=search]");
  const boxes = [...tools.querySelectorAll("input[type=checkbox]")];
  const shown = tools.querySelector("output");
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    const classes = boxes.filter((box) => box.checked).map((box) => box.value);
    let number = 0;
    for (const row of rows) {
      const fits = classes.every((name) => row.classList.contains(name));
      row.hidden = !(fits && row.textContent.toLowerCase().includes(wanted));
      number += row.hidden ? 0 : 1;
    }
    shown.textContent = `${number} shown`;
  };
  [text, ...boxes].forEach((input) => input.addEventListener("input", filter));
  tools.hidden = false;
  filter();
}
