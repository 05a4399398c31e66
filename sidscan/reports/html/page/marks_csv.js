// Marks as CSV: handed on, and read back, also after a spreadsheet saved it again.

const COLUMNS = ["sha256", "path", "mark", "note", "mark_by", "mark_at", "report_id"];

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

/** A line per image and person; also of images that this report lacks. Names that are withheld are not handed on, and
 *  decisions that are carried over from a copy stand with the image that they were made of. */
function marksAsCsv() {
  const lines = [COLUMNS.join(",")];
  const add = (sha256, path, { mark, note, by, at }) =>
    lines.push([sha256, path, mark || NO_MARK, note, by || reviewer, at, index.report_id].map(csvCell).join(","));
  for (let row = 0; row < total; row++) {
    for (const decision of firstHand(row)) add(value(row, "sha256") || "", exactPath(row), decision);
  }
  for (const [key, entries] of local) {
    if (!rowsOfKey.has(key)) for (const entry of entries) add(key.startsWith("path:") ? "" : key, entry.path, entry);
  }
  return lines.join("\r\n") + "\r\n";
}

function exportMarks() {
  if (!local.size && !rowNumbers().some((row) => firstHand(row).length)) say(S.nothingToExport);
  else if (!reviewer && [...local.values()].flat().some(({ by }) => !by)) askName(saveExport);
  else saveExport();
}

function saveExport() {
  const address = URL.createObjectURL(new Blob(["\ufeff" + marksAsCsv()], { type: "text/csv" }));
  const link = element("a", { href: address, download: "marks.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  const exported = [...local.values()].flat();
  say(S.notSavedYet);
  // A page is not told whether a download was cancelled. So marks count as exported once a person has seen the file.
  if (exported.some((entry) => !entry.exported)) ask(S.isItSaved, null, S.itIsSaved, S.notSaved, () => markExported(exported));
  else say(S.exported);
}

function markExported(entries) {
  for (const entry of entries) entry.exported = true;
  saveMarks();
  afterMark();
  say(S.exported);
}

/** Ask who sits here, once; then go on. */
function askName(goOn) {
  const input = element("input", { type: "text", "aria-label": S.reviewer, maxlength: 200 });
  ask(S.whoAreYou, input, S.export, S.cancel, () => {
    setReviewer(input.value);
    goOn();
  });
}

/** A question with two answers; the first one goes on. */
function ask(question, input, yes, no, goOn) {
  const dialog = element("dialog", { "aria-label": question });
  const finish = () => {
    if (input && !input.value.trim()) return input.focus();
    dialog.close();
    goOn();
  };
  dialog.append(element("p", {}, question), input ? element("p", {}, input) : "", element("p", { class: "marks" },
    element("button", { type: "button", onclick: finish }, yes),
    element("button", { type: "button", onclick: () => dialog.close() }, no)));
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the keys of the list
    if (event.key !== "Enter" || event.target !== input) return;
    event.preventDefault(); // or it would press the button of the next question
    finish();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** The rows of a CSV text (RFC 4180), with commas, semicolons or tabs, as spreadsheets save it; null if it is cut. */
function parseCsv(words) {
  const first = words.split("\n", 1)[0];
  const separator = [";", "\t"].find((each) => first.includes(each)) || ",";
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
  return quoted ? null : rows;
}

const ALIASES = { marked_at: "mark_at", at: "mark_at", by: "mark_by" };
const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?$/;

/** A row as a decision; a text says what is wrong with it, null that it decides nothing. */
function readRow(names, cells) {
  if (cells.length !== names.length) return text("rowCells", { cells: cells.length, columns: names.length });
  const at = (name) => cellText(cells[names.indexOf(name)] || "");
  const word = at("mark").trim().toLowerCase(), sha256 = at("sha256").trim().toLowerCase();
  const [, day, clock, zone] = TIME.exec(at("mark_at").trim()) || [];
  const when = day ? Date.parse(`${day}T${clock}${(zone || "Z").replace(/^(...)(\d\d)$/, "$1:$2")}`) : NaN;
  if (![...MARKS, NO_MARK, ""].includes(word)) return text("rowMark", { mark: safe(at("mark")) });
  if (sha256 && !/^[0-9a-f]{64}$/.test(sha256)) return text("rowSha256", { sha256: safe(at("sha256").slice(0, 70)) });
  if (at("mark_at").trim() && Number.isNaN(when)) return text("rowTime", { time: safe(at("mark_at")) });
  if (!word && !at("note")) return null;
  const time = at("mark_at").trim() ? new Date(when).toISOString().slice(0, 19) + "Z" : timeAfter("");
  return { sha256, path: at("path"), mark: word === NO_MARK ? "" : word, note: at("note"),
    by: at("mark_by").split(/\s+/u).join(" ").trim() || reviewer, at: time, exported: true };
}

/** Merge marks of a CSV text, all or none: the later one of each person counts. Returns what to say. */
function importMarks(words) {
  const [head, ...lines] = parseCsv(words.replace(/^\ufeff/, "")) || [];
  const names = (head || []).map((name) => name.trim().toLowerCase()).map((name) => ALIASES[name] || name);
  if (!names.includes("sha256") || !names.includes("mark")) return text("notMarks");
  const keyOfPath = new Map(rowNumbers().map((row) => [exactPath(row), markKey(row)]));
  const found = [];
  for (const [place, cells] of lines.entries()) {
    if (!cells.some((cell) => cell.trim())) continue;
    const entry = readRow(names, cells);
    if (typeof entry === "string") return text("badRow", { row: place + 2, why: entry });
    if (entry) found.push([entry.sha256 || keyOfPath.get(entry.path) || `path:${entry.path}`, entry]);
  }
  if (found.length && !found.some(([key]) => rowsOfKey.has(key) || local.has(key))) return text("otherMarks");
  return importedWords(merge(found));
}

function importedWords({ count, older, unknown }) {
  const words = [text(count === 1 ? "importedOne" : "imported", { count }), older ? text("older", { older }) : "",
    unknown ? text("unknown", { unknown }) : ""];
  return `${words.filter(Boolean).join("; ")}.`;
}

function merge(found) {
  let count = 0, older = 0, unknown = 0;
  for (const [key, { sha256, ...entry }] of found) {
    const person = personKey(entry.by || reviewer), row = rowsOfKey.get(key);
    const known = row === undefined ? local.get(key) || [] : lastWords(row);
    if (known.some((each) => !each.anonymous && personKey(each.by || reviewer) === person && each.at > entry.at)) older++;
    else {
      put(key, person, entry);
      if (row === undefined) unknown++;
      else count++;
    }
  }
  return { count, older, unknown };
}
