"use strict";
// Sorting, filtering and copying. It only rearranges, hides and copies what the page already shows.
(function () {
  function make(tag, className, text) {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
  }

  function makeStatus() {
    const status = make("span", "status", "");
    status.setAttribute("role", "status");
    return status;
  }

  function valueOf(row, column, numeric) {
    const text = row.cells[column].textContent.trim();
    if (!numeric) return text;
    const value = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(value) ? null : value;
  }

  function compare(first, second) {
    if (typeof first === "string") return first.localeCompare(second, "en", { numeric: true });
    return first - second;
  }

  function sortRows(header, column) {
    const body = header.closest("table").tBodies[0];
    const numeric = header.classList.contains("n");
    const ascending = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const keyed = Array.from(body.rows, (row) => ({ row, value: valueOf(row, column, numeric) }));
    keyed.sort((first, second) => {
      if (first.value === null || second.value === null) {
        return (first.value === null) - (second.value === null);
      }
      return (ascending ? 1 : -1) * compare(first.value, second.value);
    });
    body.append(...keyed.map((entry) => entry.row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
      const button = make("button", "sort", header.textContent);
      button.type = "button";
      button.addEventListener("click", () => sortRows(header, column));
      header.replaceChildren(button);
    });
  }

  for (const section of document.querySelectorAll("[data-filter]")) {
    const items = Array.from(section.querySelectorAll(".sortable tbody tr, .cards > li"));
    const rows = items.filter((item) => item.tagName === "TR");
    const texts = items.map((item) => item.textContent.toLowerCase());
    const label = make("label", "filter", section.dataset.filter + " ");
    const input = make("input", "", "");
    input.type = "search";
    const status = makeStatus();
    label.append(input);
    section.prepend(label, status);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      items.forEach((item, number) => {
        item.hidden = !texts[number].includes(wanted);
      });
      const shown = rows.filter((row) => !row.hidden).length;
      status.textContent = wanted ? `${shown} of ${rows.length} rows` : "";
      if (wanted) for (const folded of section.querySelectorAll("details")) folded.open = true;
    });
  }

  for (const source of document.querySelectorAll("[data-copy]")) {
    const bar = make("div", "copybar", "");
    const button = make("button", "copy", source.dataset.copy);
    const status = makeStatus();
    button.type = "button";
    bar.append(button, status);
    source.before(bar);
    button.addEventListener("click", () => {
      getSelection().selectAllChildren(source);
      const selected = () => { status.textContent = "Selected: copy it with the keyboard."; };
      const copied = () => { status.textContent = "Copied."; };
      if (!navigator.clipboard) return selected();
      navigator.clipboard.writeText(source.textContent).then(copied, selected);
    });
  }
})();
