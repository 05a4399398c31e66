// Which rows are shown, in which order; all of it stands in the address, so that a view can be mailed.

const state = { view: "grid", sort: "rank", down: true, q: "", image: "", fold: "yes" };
for (const name of ["low", "high", "from", "to"]) state[name] = "";

// A facet gives each row a text, of one value or of words that count each. The chosen values are alternatives.
const FACETS = [
  ["evidence", (row) => value(row, "evidence") || text("noScore")],
  ["status", (row) => value(row, "status")],
  ["mark", (row) => markOf(row).mark || text(markOf(row).note ? "withNote" : "unmarked")],
  ["provenance", provenanceWord],
  ["markers", (row) => value(row, "markers") || "", true],
  ["traces", (row) => value(row, "traces") || "", true],
  ["flags", (row) => value(row, "flags") || "", true],
  ["cautions", (row) => value(row, "cautions") || "", true],
  ["camera", (row) => value(row, "camera") || text("unset")],
  ["format", (row) => value(row, "format") || text("unset")],
  ["place", (row) => text(value(row, "latitude") === null ? "withoutPlace" : "withPlace")],
  ["copies", copyFacet],
  ["regions", (row) => value(row, "finding") || ""],
].map(([name, words, several]) => ({ name, words, several, chosen: new Set(), counts: new Map(), split: new Map() }));
for (const facet of FACETS) {
  if (facet.name !== "mark") facet.cells = Array.from({ length: total }, (_, row) => facetValues(facet, facet.words(row)));
}

/** The values in a facet's text; rows with the same text share one list. */
function facetValues(facet, words) {
  let values = facet.split.get(words);
  if (!values) {
    values = facet.several ? words.split(" ").filter(Boolean) : words ? [words] : [];
    facet.split.set(words, values);
  }
  return values;
}

/** The values of a row; those of marks change, so they are not stored. */
const valuesOf = (facet, row) => (facet.cells ? facet.cells[row] : facetValues(facet, facet.words(row)));

let haystack = null; // what the search looks into, in lower case

function searchable(row) {
  haystack ??= Array.from({ length: total }, (_, at) =>
    [...["path", "camera", "why", "flags", "sha256"].map((name) => value(at, name) || ""),
      (value(at, "markers") || "").replace(/\S+/g, "marker:$&")].join("\n").toLowerCase());
  return haystack[row];
}

const SORTS = {
  rank: (row) => -row, // the report is written with the strongest evidence first
  path: (row) => value(row, "path"),
  score: (row) => value(row, "score"),
  date: (row) => value(row, "date"),
  provenance: (row) => (value(row, "said") === null ? null : -claimRank(row)),
  camera: (row) => value(row, "camera"),
  size: (row) => (value(row, "width") || 0) * (value(row, "height") || 0) || null,
  bytes: (row) => value(row, "bytes"),
};

/** The rows that pass, in order; and per facet how many rows each value would show. */
function selectRows() {
  for (const facet of FACETS) facet.counts = new Map();
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const passed = [];
  for (let row = 0; row < total; row++) {
    if (!passesRanges(row) || !words.every((word) => searchable(row).includes(word))) continue;
    countRow(row, passed);
  }
  return fold(order(passed));
}

/** A row counts for a facet if it passes all the others. */
function countRow(row, passed) {
  let failed = null, failures = 0;
  for (const facet of FACETS) {
    const values = valuesOf(facet, row);
    if (facet.chosen.size && !values.some((each) => facet.chosen.has(each))) {
      failed = facet;
      if (++failures > 1) return;
    }
  }
  for (const facet of failures ? [failed] : FACETS) {
    for (const each of valuesOf(facet, row)) {
      facet.counts.set(each, (facet.counts.get(each) || 0) + 1);
    }
  }
  if (!failures) passed.push(row);
}

function passesRanges(row) {
  if (state.low || state.high) {
    const score = value(row, "score");
    if (score === null || (state.low && score < +state.low) || (state.high && score > +state.high)) return false;
  }
  if (state.from || state.to) {
    const day = (value(row, "date") || "").slice(0, 10);
    if (!day || (state.from && day < state.from) || (state.to && day > state.to)) return false;
  }
  return true;
}

function order(rows) {
  const key = SORTS[state.sort];
  const keys = new Map(rows.map((row) => [row, key(row)]));
  const sign = state.down ? -1 : 1;
  return rows.sort((first, second) => {
    const a = keys.get(first), b = keys.get(second);
    if (a === b) return first - second;
    if (a === null || a === "") return 1; // what is unknown comes last, whatever the direction
    if (b === null || b === "") return -1;
    return (a < b ? -1 : 1) * sign;
  });
}

/** A value of a facet as people read it; ids stand in the address. */
const facetWord = (facet, name) => (facet.name === "traces" && (S.traceWords[name] || (name === "none" && S.traceNone))) || safe(name);

/** The filters in force, in words; empty if all rows are shown. */
function filterWords() {
  const words = FACETS.filter((facet) => facet.chosen.size)
    .map((facet) => `${S[facet.name] || facet.name}: ${[...facet.chosen].map((name) => facetWord(facet, name)).join(" / ")}`);
  if (state.q) words.push(`"${safe(state.q)}"`);
  if (state.low || state.high) words.push(`${S.score} ${state.low || 0} - ${state.high || 1}`);
  if (state.from || state.to) words.push(`${S.date} ${state.from || "..."} - ${state.to || "..."}`);
  return words.join("; ");
}

function clearFilters() {
  for (const facet of FACETS) facet.chosen.clear();
  for (const name of ["q", "low", "high", "from", "to"]) state[name] = "";
}

const DEFAULTS = { ...state };

let leaving = false; // the browser is on its way back from an evidence page to the list

/** Write the state into the address, or as a new step of the browser's history. */
function writeAddress(asStep = false) {
  const parts = new URLSearchParams();
  for (const [name, content] of Object.entries(state)) {
    if (content !== DEFAULTS[name]) parts.set(name, String(content));
  }
  for (const facet of FACETS) for (const each of facet.chosen) parts.append(`f.${facet.name}`, each);
  const fragment = parts.toString();
  if (leaving || location.hash.slice(1) === fragment) return;
  if (asStep) history.pushState({ opened: true }, "", `#${fragment}`);
  else history.replaceState(history.state, "", `#${fragment}`);
}

/** Go back to the step that opened the evidence page, so that the history does not grow with each image. */
function leaveAddress() {
  if (!history.state?.opened) writeAddress();
  else if (!leaving) {
    leaving = true;
    history.back();
  }
}

/** Whether the browser has just come back by `leaveAddress`; the state may have changed since. */
function hasLeft() {
  if (!leaving) return false;
  leaving = false;
  writeAddress(Boolean(state.image));
  return true;
}

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  Object.assign(state, DEFAULTS);
  for (const name of Object.keys(DEFAULTS)) {
    if (parts.has(name)) state[name] = name === "down" ? parts.get(name) === "true" : parts.get(name);
  }
  if (!SORTS[state.sort]) state.sort = DEFAULTS.sort;
  for (const facet of FACETS) facet.chosen = new Set(parts.getAll(`f.${facet.name}`));
}
