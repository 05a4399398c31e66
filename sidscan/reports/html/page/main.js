// Puts the parts together: tools, filters, keys, the address.

const work = { list: listNode, line: document.getElementById("line"), tools: document.getElementById("tools") };
const messageNode = document.getElementById("message");
const filtersNode = document.getElementById("filters");
const helpNode = document.getElementById("help");
const search = element("input", { type: "search", id: "search", placeholder: S.searchHint, "aria-label": S.search });
const sortSelect = element("select", { "aria-label": S.sort },
  ...Object.keys(SORTS).map((name) => element("option", { value: name }, `${S.sort}: ${S[name]}`)));
const directionButton = element("button", { type: "button", onclick: () => { state.down = !state.down; update(); } });
const progressNode = element("span", { class: "dim", role: "status" });
const fileInput = element("input", { type: "file", accept: ".csv", hidden: true, "aria-label": S.import, tabindex: -1 });
const headNode = document.getElementById("head");
const smallWindow = window.matchMedia("(max-width: 48rem), (max-height: 40rem)");
const moreNode = element("details", { class: "more" });
let advance = true;

function say(words) {
  messageNode.textContent = words;
}

/** Filter and sort again, and show what came of it; the chosen image stays chosen, if it is shown. */
function update() {
  const row = shown[active];
  shown = selectRows();
  active = Math.max(0, shown.indexOf(row));
  writeAddress();
  drawTools();
  drawFilters();
  layOut();
  choose(active);
}

const viewButtons = ["grid", "table"].map((view) => element("button", { type: "button",
  onclick: () => { state.view = view; update(); } }, S[view]));

function buildTools() {
  search.addEventListener("focus", () => { if (total) searchable(0); }); // the first letter need not wait for it
  search.addEventListener("input", () => { state.q = search.value; update(); });
  sortSelect.addEventListener("change", () => sortBy(sortSelect.value));
  fileInput.addEventListener("change", async () => {
    if (fileInput.files[0]) say(importMarks(await fileInput.files[0].text()));
    fileInput.value = "";
    afterMark();
    update();
  });
  const advanceBox = element("input", { type: "checkbox", checked: true });
  advanceBox.addEventListener("change", () => { advance = advanceBox.checked; });
  work.tools.append(search, element("div", { class: "group", role: "group", "aria-label": S.viewGroup }, ...viewButtons),
    sortSelect, directionButton, moreNode, progressNode);
  moreNode.append(element("summary", {}, S.more),
      element("div", {}, element("button", { type: "button", onclick: exportMarks }, S.export),
        element("button", { type: "button", onclick: () => fileInput.click() }, S.import), fileInput,
        element("label", {}, advanceBox, ` ${S.advance}`),
        element("button", { type: "button", onclick: showHelp }, S.help)));
}

function drawTools() {
  if (search.value !== state.q) search.value = state.q;
  sortSelect.value = state.sort;
  directionButton.textContent = state.down ? "\u25bc" : "\u25b2";
  directionButton.setAttribute("aria-label", S.descending);
  directionButton.setAttribute("aria-pressed", String(state.down));
  viewButtons.forEach((button, place) => button.setAttribute("aria-pressed", String(isGrid() === (place === 0))));
  progressNode.textContent = progressWords();
  const filters = filterWords();
  const counts = passedCount === total ? text("all", { shown: total }) : text("shown", { shown: passedCount, total });
  const folded = passedCount - shown.length;
  const foldButton = element("button", { type: "button", onclick: () => { state.fold = state.fold === "no" ? "yes" : "no"; update(); } },
    S[state.fold === "no" ? "foldAll" : "unfoldAll"]);
  const clear = element("button", { type: "button", onclick: () => { clearFilters(); update(); } }, S.clear);
  work.line.replaceChildren(element("strong", { role: "status" }, counts),
    ...(filters ? [element("span", { class: "dim" }, text("hidden", { hidden: total - passedCount, filters })), clear] : []),
    ...(copyRows.size ? [element("span", { class: "dim" }, folded ? text("folded", { folded }) : ""), foldButton] : []),
    ...(shown.length || !total ? [] : [element("span", {}, S.none)]));
}

const VALUES_SHOWN = 60;

function drawFilters() {
  const focused = document.activeElement?.dataset?.filter;
  const sets = FACETS.filter((facet) => facet.counts.size || facet.chosen.size).map((facet) => {
    const names = [...new Set([...facet.counts.keys(), ...facet.chosen])];
    const rank = (name) => (facet.name === "evidence" ? WORDS.indexOf(name) + (WORDS.includes(name) ? 0 : 99) : -(facet.counts.get(name) || 0));
    names.sort((first, second) => rank(first) - rank(second) || (first < second ? -1 : 1));
    const labels = names.slice(0, facet.all ? names.length : VALUES_SHOWN).map((name) => filterLabel(facet, name));
    const rest = names.length - labels.length;
    return element("fieldset", {}, element("legend", {}, S[facet.name]), element("div", { class: "values" }, ...labels),
      rest > 0 ? element("button", { type: "button", class: "copy", onclick: () => { facet.all = true; drawFilters(); } }, text("showAll", { count: names.length })) : null);
  });
  filtersNode.replaceChildren(element("summary", {}, S.filters), ...sets,
    rangeSet("scoreRange", "number", ["low", "high"], { min: 0, max: 1, step: 0.01 }),
    rangeSet("dateRange", "date", ["from", "to"], {}));
  if (focused) filtersNode.querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus();
}

function filterLabel(facet, name) {
  const box = element("input", { type: "checkbox", "data-filter": `${facet.name} ${name}` });
  box.checked = facet.chosen.has(name);
  box.addEventListener("change", () => {
    if (box.checked) facet.chosen.add(name);
    else facet.chosen.delete(name);
    update();
  });
  return element("label", {}, box, element("span", { class: "name", title: facet.name === "traces" ? safe(name) : null }, facetWord(facet, name)),
    element("span", { class: "count" }, String(facet.counts.get(name) || 0)));
}

function rangeSet(title, type, names, limits) {
  const inputs = names.map((name, place) => {
    const input = element("input", { type, ...limits, "data-filter": name });
    input.value = state[name];
    input.addEventListener("change", () => { state[name] = input.value; update(); });
    return element("label", {}, S[place ? "to" : "from"], " ", input);
  });
  return element("fieldset", {}, element("legend", {}, S[title]), element("div", { class: "range" }, ...inputs));
}

function sortBy(name) {
  state.down = state.sort === name ? !state.down : !["path", "camera"].includes(name);
  state.sort = name;
  update();
}

function afterMark() {
  progressNode.textContent = progressWords();
  if (FACETS.some((facet) => facet.name === "mark" && facet.chosen.size)) return;
  selectRows(); // counts of marks only; the list keeps its place
  drawFilters();
  if (columns.some(([name]) => name === "c-mark") === (countMarked(true) > 0)) redraw();
  else if (!state.image) { layOut(); choose(active); } // the first mark makes the column
}

/** Mark the chosen image and, unless turned off, go to the next one. */
function markActive(mark) {
  if (!shown.length) return;
  setMark(shown[active], { mark });
  if (advance && mark && active + 1 < shown.length) choose(active + 1, !state.image);
  afterMark();
  if (state.image) openImage();
}

/** Show the evidence page of the chosen image. From the list it is a step that the browser can go back. */
function openImage() {
  if (!shown.length) return;
  const fromList = !state.image;
  state.image = markKey(shown[active]);
  writeAddress(fromList);
  for (const node of Object.values(work)) node.hidden = true;
  filtersNode.hidden = true;
  if (fromList || detailNode.hidden) headNode.open = false; // its words stand on the evidence page, too
  detailNode.hidden = false;
  showImage().focus();
  detailNode.scrollTop = 0;
}

function closeImage() {
  state.image = "";
  leaveAddress();
  showList();
}

function showList() {
  for (const node of Object.values(work)) node.hidden = false;
  filtersNode.hidden = false;
  headNode.open = !smallWindow.matches;
  detailNode.hidden = true;
  detailNode.replaceChildren();
  layOut();
  choose(active, true);
}

function turnPage(step) {
  choose(active + step);
  openImage();
}

/** Take back the last mark, and choose its image. */
function undo() {
  const row = undoMark();
  if (row === null) return;
  afterMark();
  if (state.image) return goTo(row);
  unfoldFor(row);
  if (shown.includes(row)) choose(shown.indexOf(row));
  else say(text("undoneHidden", { path: safe(value(row, "path")) }));
}

/** Unfold the group of an image that stands under a stronger one. */
function unfoldFor(row) {
  if (shown.includes(row) || membersOf(row).length < 2) return;
  toggleCopies(row, true);
  update();
}

/** Open an image that the filters may hide. */
function goTo(row) {
  unfoldFor(row);
  if (!shown.includes(row)) {
    clearFilters();
    update();
  }
  choose(shown.indexOf(row));
  openImage();
}

function showHelp() {
  const rows = S.helpText.map(([keys, meaning]) => [element("dt", {}, element("kbd", {}, keys)), element("dd", {}, meaning)]);
  helpNode.replaceChildren(element("h2", {}, S.help), element("dl", {}, ...rows.flat()),
    element("p", {}, element("button", { type: "button", onclick: () => helpNode.close() }, S.close)));
  helpNode.showModal();
}

const band = () => (isGrid() && !state.image ? perBand : 1);
const page = () => Math.max(1, Math.floor(listNode.clientHeight / bandHeight)) * perBand;
const step = (by) => () => (state.image ? turnPage(by) : choose(active + by, true));
const KEYS = {
  j: step(1), k: step(-1), ArrowRight: step(1), ArrowLeft: step(-1),
  ArrowDown: () => step(band())(), ArrowUp: () => step(-band())(),
  PageDown: () => step(page())(), PageUp: () => step(-page())(),
  Home: () => step(-total)(), End: () => step(total)(), g: () => step(-total)(), G: () => step(total)(),
  Enter: () => { if (!state.image) openImage(); }, Escape: () => { if (state.image) closeImage(); },
  1: () => markActive(MARKS[0]), 2: () => markActive(MARKS[1]), 3: () => markActive(MARKS[2]), 0: () => markActive(""),
  n: () => { if (!state.image) openImage(); document.getElementById("note")?.focus(); },
  u: undo,
  c: () => { if (!state.image) toggleActive(); },
  v: () => { if (!state.image) { state.view = isGrid() ? "table" : "grid"; update(); } },
  "/": () => { if (state.image) closeImage(); search.focus(); },
  "?": showHelp,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || helpNode.open) return;
  const inside = event.target.closest("input, select, textarea");
  if (inside) {
    if (event.key === "Escape") { inside.blur(); (state.image ? detailNode : listNode).focus(); }
    return;
  }
  if (event.target.closest("button, summary, a") && ["Enter", " "].includes(event.key)) return;
  const scrolls = state.image && ["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"].includes(event.key);
  if (scrolls || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

/** What is printed of the list: the images that have a mark. */
window.addEventListener("beforeprint", () => {
  const table = element("table", { class: "static" });
  if (!state.image) {
    const names = ["mark", "by", "note", "evidence", "score", "path"];
    table.append(element("tr", {}, ...names.map((name) => element("th", {}, S[name]))));
    if (!countMarked(true)) table.append(element("caption", {}, S.noMarks));
    for (let row = 0; row < total; row++) {
      const { mark, note, decisions } = markOf(row);
      if (!mark && !note) continue;
      const by = decisions.map((each) => (mark === CONFLICT && each.mark ? `${nameOf(each)}: ${each.mark}` : nameOf(each))).join(", ");
      const cells = [mark, by, note, wordOf(row)[0], formatScore(value(row, "score")), value(row, "path")];
      table.append(element("tr", {}, ...cells.map((cell, place) => element("td", { class: ["by", "note", "path"].includes(names[place]) ? "name" : null }, safe(cell)))));
    }
  }
  document.getElementById("printed").replaceChildren(table);
});

/** Show what the address names: a list, or the evidence page of an image. */
function showAddress() {
  const key = state.image, wasOpen = !detailNode.hidden;
  const row = rowOfSha256.get(key) ?? rowsOfKey.get(key);
  if (row === undefined) state.image = "";
  if (wasOpen && !state.image) showList();
  update();
  if (row !== undefined) goTo(row);
  else if (key) say(S.noSuchImage);
}

/** In a small window, images first: all else is folded. */
function fitWindow() {
  const small = smallWindow.matches;
  moreNode.classList.toggle("wide", !small);
  filtersNode.open = moreNode.open = !small;
  headNode.open = !small && !state.image;
}

fitWindow();
smallWindow.addEventListener("change", fitWindow);
openStorage();
buildTools();
document.getElementById("app").hidden = false;
readAddress();
if (total === 1) state.image ||= markKey(0); // of one image, its evidence page
showAddress();
if (openingWords()) say(openingWords());
window.addEventListener("hashchange", () => {
  if (hasLeft()) return;
  readAddress();
  showAddress();
});
