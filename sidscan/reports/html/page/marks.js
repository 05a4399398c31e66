// What a person decided: kept in the browser if it lets a file do so, handed on as CSV.

const MARKS = ["suspicious", "cleared", "later"]; // keys 1, 2, 3
const marks = new Map(); // key of an image -> {mark, note, at}
const undone = []; // what undo restores: [key, entry before]
let unexported = false;
let storage = null;

/** Marks belong to bytes, so equal files share one; what could not be read has only its path. */
const markKey = (row) => value(row, "sha256") || `path:${value(row, "path")}`;
const markOf = (row) => marks.get(markKey(row)) || { mark: "", note: "", at: "" };

function openStorage() {
  try {
    storage = window.localStorage;
    const kept = JSON.parse(storage.getItem(`sidscan:${index.report_id}`) || "[]");
    for (const [key, entry] of kept) marks.set(key, entry);
  } catch {
    storage = null; // the page says so
  }
}

function saveMarks() {
  unexported = true;
  try {
    storage?.setItem(`sidscan:${index.report_id}`, JSON.stringify([...marks]));
  } catch {
    storage = null;
  }
}

function setMark(row, change) {
  const key = markKey(row);
  const before = marks.get(key);
  undone.push([row, key, before]);
  store(key, { ...markOf(row), ...change, at: new Date().toISOString().slice(0, 19) + "Z" });
}

function store(key, entry) {
  if (entry && (entry.mark || entry.note)) marks.set(key, entry);
  else marks.delete(key);
  saveMarks();
}

/** Undo the last mark and return its row, or null. */
function undoMark() {
  const last = undone.pop();
  if (!last) return null;
  const [row, key, before] = last;
  store(key, before);
  return row;
}

/** Number of images of this report that have a mark, or also of those that have a note; equal files count each. */
function countMarked(noted = false) {
  let count = 0;
  for (let row = 0; row < total; row++) if (markOf(row).mark || (noted && markOf(row).note)) count++;
  return count;
}

const COLUMNS = ["sha256", "path", "mark", "note", "marked_at", "report_id"];

// Cells are escaped and read back as sidscan.reports.csv_escape does it, by its own tables of characters.
const { formula, escape, unsafe: unsafeClass } = index.patterns;
const hidden = new RegExp(`[${unsafeClass}\\n\\t]|\\\\(?=${escape})`, "gu");
const afterSeparator = new RegExp(`([,;|][\\s"']*)([${formula}])`, "gu");
const formulaStart = new RegExp(`^(?:[\\s"']*[${formula}]|')`, "u");
const escapes = new RegExp(`\\\\(${escape})`, "gu");

/** A cell that no spreadsheet takes for a formula. */
function csvCell(words) {
  const plain = String(words).replace(hidden, escapeCharacter)
    .replace(afterSeparator, (_, before, start) => before + escapeCharacter(start));
  const guarded = formulaStart.test(plain) ? `'${plain}` : plain;
  return /[",;]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

/** The text that `csvCell` got. */
const cellText = (cell) => cell.replace(/^'/, "")
  .replace(escapes, (_, code) => String.fromCodePoint(parseInt(code.slice(1), 16)));

function marksAsCsv() {
  const lines = [COLUMNS.join(",")];
  for (let row = 0; row < total; row++) {
    const { mark, note, at } = markOf(row);
    if (mark || note) {
      const cells = [value(row, "sha256") || "", value(row, "path"), mark, note, at, index.report_id];
      lines.push(cells.map(csvCell).join(","));
    }
  }
  return lines.join("\r\n") + "\r\n";
}

function exportMarks() {
  const address = URL.createObjectURL(new Blob(["\ufeff" + marksAsCsv()], { type: "text/csv" }));
  const link = element("a", { href: address, download: "marks.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  unexported = false;
}

/** The rows of a CSV text (RFC 4180), with commas or semicolons, as spreadsheets save it. */
function parseCsv(words) {
  const separator = words.split("\n", 1)[0].includes(";") ? ";" : ",";
  const rows = [[]];
  let cell = "", quoted = false;
  for (let i = 0; i < words.length; i++) {
    const character = words[i];
    if (quoted) {
      if (character !== '"') cell += character;
      else if (words[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === separator) { rows.at(-1).push(cell); cell = ""; }
    else if (character === "\n") { rows.at(-1).push(cell); rows.push([]); cell = ""; }
    else if (character !== "\r") cell += character;
  }
  rows.at(-1).push(cell);
  return rows.filter((row) => row.length > 1);
}

/** Merge marks of a CSV text: the later mark of an image wins. Returns what to say. */
function importMarks(words) {
  const [names, ...rows] = parseCsv(words.replace(/^\ufeff/, ""));
  if (!names || !names.includes("sha256") || !names.includes("mark")) return text("notMarks");
  const byPath = new Map(Array.from({ length: total }, (_, row) => [value(row, "path"), row]));
  let count = 0, older = 0, unknown = 0;
  for (const cells of rows) {
    const at = (name) => cellText(cells[names.indexOf(name)] || "");
    const row = rowOfSha256.get(at("sha256")) ?? (at("sha256") ? undefined : byPath.get(at("path")));
    if (row === undefined) unknown++;
    else if (markOf(row).at > at("marked_at")) older++;
    else {
      const mark = MARKS.includes(at("mark")) ? at("mark") : "";
      store(markKey(row), { mark, note: at("note"), at: at("marked_at") });
      count++;
    }
  }
  return text("imported", { count, older, unknown });
}

window.addEventListener("beforeunload", (event) => {
  if (unexported) event.preventDefault();
});
