// One list that draws only what can be seen, as a grid of tiles or as a table.

const listNode = document.getElementById("list");
const rowsNode = element("div", { id: "rows" });
let shown = []; // rows that pass the filters, in order
let active = 0; // place of the chosen image among them
let perBand = 1;
let bandHeight = 40;
let drawn = "";

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
const isGrid = () => state.view === "grid";

function thumbnail(row, className) {
  const entry = chunkEntry(row, redrawSoon);
  const source = entry?.thumbnail;
  const hint = value(row, "status") === "scored" ? text("noThumbnail") : value(row, "status");
  return element("div", { class: className },
    source ? element("img", { src: `data:image/webp;base64,${source}`, alt: "" }) : entry || missingFile ? hint : "");
}

const SIGNS = { suspicious: "\u25b2", cleared: "\u2713", later: "\u25f7", conflict: "\u2260" };

/** The mark with its sign; a note shows too. */
function markWords(row) {
  const { mark, note } = markOf(row);
  return [mark ? `${SIGNS[mark]} ${mark}` : "", note ? S.noted : ""].filter(Boolean).join(", ");
}

function wordNode(row) {
  const [word, colour] = wordOf(row);
  return element("span", { class: `word ${colour}` }, word);
}

const cellOf = (name) => (row) => safe(value(row, name) ?? "");
const placeOf = (row, digits) => (value(row, "latitude") === null || value(row, "longitude") === null ? ""
  : ["latitude", "longitude"].map((name) => (digits ? value(row, name).toFixed(digits) : value(row, name))).join(", "));
const anyRow = (has) => Array.from({ length: total }, (_, row) => row).some(has);

// Class, title, what it sorts by, width in rem, content; the words of a tooltip; whether the report has any of it.
const TABLE = [
  ["c-thumb", "", null, 3, (row) => thumbnail(row, "thumb")],
  ["c-evidence", "evidence", "rank", 8.5, wordNode],
  ["c-score", "score", "score", 4.75, (row) => formatScore(value(row, "score"))],
  ["c-model", "model", null, 8, cellOf("model"), cellOf("model"), () => severalModels],
  ["c-says", "provenanceColumn", "provenance", 9, listSigns, null, () => anyRow(provenanceSign)],
  ["c-mark", "mark", null, 8, markWords, markWords, () => countMarked(true)],
  ["c-path", "path", "path", 12, (row) => element("bdi", {}, safe(value(row, "path"))), cellOf("path")],
  ["c-date", "date", "date", 8.5, (row) => cellOf("date")(row).slice(0, 16), cellOf("date"), () => anyRow(cellOf("date"))],
  ["c-camera", "camera", "camera", 9, cellOf("camera"), cellOf("camera"), () => anyRow(cellOf("camera"))],
  ["c-place", "place", null, 7.5, (row) => placeOf(row, 2), (row) => placeOf(row), () => anyRow((row) => placeOf(row))],
  ["c-copies", "copies", null, 12, copyNode, copyWords, () => copyRows.size],
  ["c-size", "size", "size", 7, pixels],
  ["c-format", "format", null, 4.5, cellOf("format"), cellOf("format")],
];
let columns = TABLE; // those that the report fills

function layOutColumns() {
  columns = TABLE.filter(([, , , , , , applies]) => !applies || applies());
  const widths = columns.map(([name, , , width]) => (name === "c-path" ? `minmax(${width}rem, 1fr)` : `${width}rem`));
  listNode.style.setProperty("--columns", widths.join(" "));
  listNode.style.setProperty("--width", `${columns.reduce((sum, [, , , width]) => sum + width, 0)}rem`);
}

function tableHead() {
  const cells = columns.map(([name, title, sort], place) => {
    const sorted = sort === state.sort;
    const arrow = sorted ? (state.down ? " \u25bc" : " \u25b2") : "";
    const label = title ? S[title] : "";
    const content = sort ? element("button", { type: "button", tabindex: -1, onclick: () => sortBy(sort) }, label + arrow)
      : label || element("span", { class: "visually-hidden" }, S.thumbnail);
    const direction = sorted ? (state.down ? "descending" : "ascending") : sort ? "none" : null;
    return element("div", { class: name, role: "columnheader", "aria-colindex": place + 1, "aria-sort": direction }, content);
  });
  return element("div", { class: "columns", role: "row", "aria-rowindex": 1 }, ...cells);
}

function attributes(place, role) {
  const chosen = place === active;
  return { role, "aria-selected": String(chosen), tabindex: chosen ? 0 : -1, "data-place": place,
    onclick: () => { choose(place); openImage(); } };
}

function tableBand(place) {
  const row = shown[place];
  const cells = columns.map(([name, , , , content, tooltip], at) => element("div",
    { class: name, role: "gridcell", "aria-colindex": at + 1, title: tooltip?.(row) || null }, content(row)));
  return element("div", { class: isUnder(row) ? "band under" : "band", "aria-rowindex": place + 2, ...attributes(place, "row") }, ...cells);
}

function gridBand(first) {
  const cells = [];
  for (let place = first; place < first + perBand; place++) {
    if (place >= shown.length) cells.push(element("div", { class: "cell filler" }));
    else cells.push(tile(place));
  }
  return element("div", { class: "band", role: "row", "aria-rowindex": first / perBand + 1 }, ...cells);
}

function tile(place) {
  const row = shown[place], path = safe(value(row, "path"));
  const score = value(row, "score");
  return element("div", { class: isUnder(row) ? "cell under" : "cell", "aria-colindex": (place % perBand) + 1, title: path, ...attributes(place, "gridcell") },
    thumbnail(row, "thumb"), listSigns(row),
    element("div", { class: "facts" }, wordNode(row), element("span", {}, score === null ? "" : formatScore(score))),
    severalModels && element("div", { class: "model dim" }, cellOf("model")(row)),
    element("div", { class: "name" }, element("bdi", {}, path)),
    element("div", { class: "facts dim" }, markWords(row)),
    element("div", { class: "facts" }, copyNode(row)));
}

/** Lay the list out for its width and view, from scratch. */
function layOut() {
  listNode.className = isGrid() ? "tiled" : "tabular";
  perBand = isGrid() ? Math.max(1, Math.floor((listNode.clientWidth - 2 * rem()) / (11.5 * rem()))) : 1;
  bandHeight = (isGrid() ? 16.5 : 2.5) * rem();
  layOutColumns();
  const bands = Math.ceil(shown.length / perBand);
  listNode.setAttribute("aria-rowcount", bands + (isGrid() ? 0 : 1));
  listNode.setAttribute("aria-colcount", isGrid() ? perBand : columns.length);
  rowsNode.style.height = `${bands * bandHeight}px`;
  listNode.replaceChildren(...(isGrid() ? [] : [tableHead()]), rowsNode);
  redraw();
}

let planned = 0;

/** Draw once for all chunks that arrive before the next frame. */
function redrawSoon() {
  planned ||= requestAnimationFrame(() => { planned = 0; redraw(); });
}

/** Draw the bands in sight again. */
function redraw() {
  drawn = "";
  draw();
}

function draw() {
  const top = listNode.scrollTop - (isGrid() ? 0 : 2.25 * rem());
  const first = Math.max(0, Math.floor(top / bandHeight) - 2);
  const last = Math.min(Math.ceil(shown.length / perBand), Math.ceil((top + listNode.clientHeight) / bandHeight) + 2);
  const key = `${first} ${last}`;
  if (key === drawn) return;
  drawn = key;
  const hadFocus = rowsNode.contains(document.activeElement);
  const bands = [];
  for (let band = first; band < last; band++) {
    const node = isGrid() ? gridBand(band * perBand) : tableBand(band);
    node.style.top = `${band * bandHeight}px`;
    bands.push(node);
  }
  rowsNode.replaceChildren(...bands);
  if (hadFocus) focusActive();
  if (missingFile) say(text("missing", { file: missingFile }));
}

function focusActive() {
  const node = rowsNode.querySelector(`[data-place="${active}"]`);
  (node || listNode).focus({ preventScroll: true });
}

/** Make an image the chosen one, and bring it into sight. */
function choose(place, focus = false) {
  active = Math.max(0, Math.min(shown.length - 1, place));
  const band = Math.floor(active / perBand), head = isGrid() ? 0 : 2.25 * rem();
  const top = band * bandHeight, bottom = top + bandHeight + head;
  if (top < listNode.scrollTop) listNode.scrollTop = top;
  else if (bottom > listNode.scrollTop + listNode.clientHeight) listNode.scrollTop = bottom - listNode.clientHeight;
  redraw();
  if (focus) focusActive();
}

listNode.addEventListener("scroll", draw, { passive: true });
new ResizeObserver(() => { if (!listNode.hidden) layOut(); }).observe(listNode);
