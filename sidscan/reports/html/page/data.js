// The rows of the report, as columns of one table, and the chunks that hold what the list does not need.

const readJson = (id) => JSON.parse(document.getElementById(id).textContent);
const index = readJson("index");
const S = readJson("strings");
const chunkFiles = readJson("chunk-files");
const total = index.rows.length;
const severalModels = index.run.models.length > 1; // then scores are named by theirs
const rowNumbers = () => Array.from({ length: total }, (_, row) => row);
const columnOf = new Map(index.columns.map((name, place) => [name, place]));
const indexed = new Set(index.indexed);

/** A cell of the index; texts that repeat are stored once, by their number. */
function value(row, name) {
  const cell = index.rows[row][columnOf.get(name)];
  return indexed.has(name) && cell !== null ? index.strings[cell] : cell;
}

/** A text of strings.json with its {places} filled. */
function text(name, places = {}) {
  return S[name].replace(/\{(\w+)\}/g, (_, place) => String(places[place]));
}

// As `sidscan.util.terminal.safe_line`: nothing invisible, and nothing that turns the reading direction.
const unsafe = new RegExp(`[${index.patterns.unsafe}\\n\\t]`, "gu");

function escapeCharacter(character) {
  const code = character.codePointAt(0);
  const [mark, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${mark}${code.toString(16).padStart(digits, "0")}`;
}

/** Text of a stranger, safe to show. */
const safe = (words) => String(words).replace(unsafe, escapeCharacter);

/** An element; children are nodes or texts, never HTML. */
function element(tag, attributes = {}, ...children) {
  const node = tag === "svg" || element.svg.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, content] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), content);
    else if (content === true) node.setAttribute(name, "");
    else if (content !== false && content !== null && content !== undefined) node.setAttribute(name, content);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
element.svg = new Set(["rect", "line", "text", "g", "image", "title", "path", "circle"]);

const CHUNKS_KEPT = 80; // more than the rows in sight: each may need a chunk of its own
const chunks = new Map(); // number -> its entries, or a promise of them; the one used last stands last
let missingFile = "";

/** The chunk of a row, if it is here; else null, and `whenHere` is called once it is. */
function chunkEntry(row, whenHere) {
  const number = Math.floor(row / index.chunk_rows);
  const entries = loadChunk(number);
  if (entries instanceof Promise) {
    entries.then(whenHere, whenHere);
    return null;
  }
  return entries[row % index.chunk_rows] || null;
}

function loadChunk(number) {
  let entries = chunks.get(number);
  if (entries === undefined) {
    const block = document.getElementById(`chunk-${number}`);
    entries = block ? JSON.parse(block.textContent) : requestChunk(number);
  }
  chunks.delete(number);
  chunks.set(number, entries);
  if (chunks.size > CHUNKS_KEPT) chunks.delete(chunks.keys().next().value);
  return entries;
}

/** Asks for the file of a chunk. A page opened from a disk may not fetch, but it may load scripts. */
function requestChunk(number) {
  return new Promise((resolve) => {
    const file = chunkFiles[number];
    const script = element("script", { src: file });
    requestChunk.waiting.set(number, (entries) => {
      script.remove();
      chunks.set(number, entries);
      resolve();
    });
    script.addEventListener("error", () => {
      missingFile = file || "";
      requestChunk.waiting.get(number)([]);
    });
    document.head.append(script);
  });
}
requestChunk.waiting = new Map();
window.sidscanChunk = (number, entries) => requestChunk.waiting.get(number)?.(entries);

// Words of evidence from the strongest to the weakest, then inputs without a score.
const WORDS = ["very strong", "strong", "moderate", "weak", "inconclusive"];
const CLASSES = ["e4", "e3", "e2", "e1", "e0"];

/** The word that stands for a row, and the class of its colour. */
function wordOf(row) {
  const evidence = value(row, "evidence");
  const place = WORDS.indexOf(evidence);
  return place < 0 ? [value(row, "status"), "none"] : [evidence, CLASSES[place]];
}

const formatScore = (score) => (score === null ? "" : score.toFixed(3));
const formatPercent = (share) => String(Math.round(1000 * share) / 10);
const pixels = (row) => (value(row, "width") ? `${value(row, "width")} x ${value(row, "height")}` : "");

/** The first row of each sha256. */
const rowOfSha256 = new Map();
for (let row = 0; row < total; row++) {
  const sha256 = value(row, "sha256");
  if (sha256 && !rowOfSha256.has(sha256)) rowOfSha256.set(sha256, row);
}
/** How many other images stand before a row; equal bytes are one image. */
const rankOf = (row) => new Set(index.rows.slice(0, row).map((_, before) => value(before, "sha256"))).size;
