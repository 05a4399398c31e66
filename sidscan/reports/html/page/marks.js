// What people decided: the decisions that the report holds, and those of this browser, which hands them on as CSV.
// One person has one decision on an image, the latest; where the marks of two people differ, nothing wins.

const MARKS = ["suspicious", "cleared", "later"]; // keys 1, 2, 3
const CONFLICT = "conflict", NO_MARK = "none";
const UNDECIDED = { mark: "", note: "", at: "", by: "" };
const local = new Map(); // key of an image -> decisions of this browser: {by, mark, note, at, path, exported}
const undone = []; // what undo restores: [row, own decision before]
let reviewer = ""; // who sits here; a decision without a name is theirs
let changed = false; // since the page was opened
let storage = null;

const personKey = (name) => name.normalize("NFKC").toLowerCase().trim().split(/\s+/u).join(" ");
const isMine = (decision) => personKey(decision.by || reviewer) === personKey(reviewer);
const normalTime = (at) => at.replace("+00:00", "Z");

/** Marks belong to bytes, so equal files share one; what could not be read has only its name. */
const markKey = (row) => value(row, "sha256") || `path:${value(row, "path_bytes") || value(row, "path")}`;
const rowsOfKey = new Map(); // filled when the page is opened: key -> its first row

/** A name with its bytes that are not UTF-8 as surrogates, as Python has them. */
function exactPath(row) {
  const bytes = (value(row, "path_bytes") || "").match(/../g);
  if (!bytes) return value(row, "path");
  let name = "";
  for (let at = 0; at < bytes.length;) {
    let length = 4, decoded = null;
    for (; length && decoded === null; length--) {
      try { decoded = at + length <= bytes.length ? decodeURIComponent("%" + bytes.slice(at, at + length).join("%")) : null; } catch { decoded = null; }
    }
    name += decoded ?? String.fromCharCode(0xdc00 + parseInt(bytes[at], 16));
    at += decoded === null ? 1 : length + 1;
  }
  return name;
}

/** The decisions in the report. Names are withheld in private reports. */
function reported(row) {
  return (value(row, "decisions") || []).map(([mark, by, at, note, settles, copyOf]) =>
    ({ mark, by, at: normalTime(at), note, settles, copyOf, reported: true, anonymous: !by }));
}

/** What each person last said of an image, also who took it back; `known` is what the report has of it. */
function lastWords(row, known = reported(row)) {
  const here = local.get(markKey(row));
  if (!here) return known;
  const people = new Map(known.map((each, place) => [each.anonymous ? `?${place}` : personKey(each.by), each]));
  for (const own of here) {
    const person = personKey(own.by || reviewer);
    if (!people.has(person) || people.get(person).at <= own.at) people.set(person, own);
  }
  return [...people.values()];
}

/** The same, of these very bytes: what is carried over from a copy is nothing that anybody decided of this file. */
const firstHand = (row) => lastWords(row, reported(row).filter(({ copyOf }) => !copyOf)).filter(({ anonymous }) => !anonymous);

const NOBODY = { ...UNDECIDED, decisions: [] };

/** The decisions on an image as one; `decisions` has each. */
function markOf(row) {
  if (!local.size && !value(row, "decisions")) return NOBODY; // quick, since the filters ask it of all rows
  const decisions = lastWords(row).filter(({ mark, note }) => mark || note);
  if (!decisions.length) return NOBODY;
  const words = [...new Set(decisions.map(({ mark }) => mark).filter(Boolean))];
  const notes = decisions.filter(({ note }) => note).map((each) => (decisions.length > 1 ? `${nameOf(each)}: ${each.note}` : each.note));
  return { mark: words.length > 1 ? CONFLICT : words[0] || "", note: notes.join("; "), decisions,
    at: decisions.map(({ at }) => at).sort().at(-1) };
}

const nameOf = (decision) => (decision.anonymous ? S.somebody : decision.by || reviewer || S.you);
const ownOf = (row) => lastWords(row).find((each) => !each.anonymous && isMine(each)) || UNDECIDED;
const ownHere = (key) => (local.get(key) || []).find(isMine);

/** Number of images of this report that have a mark, or also of those that have a note; equal files count each. */
function countMarked(noted = false) {
  let count = 0;
  for (let row = 0; row < total; row++) if (markOf(row).mark || (noted && markOf(row).note)) count++;
  return count;
}

const countUnexported = () => [...local.values()].flat().filter(({ exported }) => !exported).length;

function progressWords() {
  const unexported = countUnexported();
  return text("seen", { marked: countMarked(), total }) + (unexported ? text("unexported", { count: unexported }) : "");
}

// The browser's storage

function openStorage() {
  for (let row = total - 1; row >= 0; row--) rowsOfKey.set(markKey(row), row);
  try {
    storage = window.localStorage;
    reviewer = storage.getItem("sidscan:reviewer") || "";
    for (const [key, kept] of JSON.parse(storage.getItem(`sidscan:${index.report_id}`) || "[]")) {
      const entries = Array.isArray(kept) ? kept : [{ by: "", path: "", exported: false, ...kept }]; // before names
      const open = entries.filter((entry) => !isSuperseded(key, entry));
      if (open.length) local.set(key, open);
    }
  } catch {
    storage = null; // the page says so
  }
}

/** Whether the report has this decision or a later one of the person, or one that settled it; until it was handed on,
 *  one that is carried over from a copy does not replace it. */
function isSuperseded(key, entry) {
  if (!rowsOfKey.has(key)) return false;
  const known = reported(rowsOfKey.get(key));
  if (entry.exported && known.some(({ settles, at }) => settles && at >= entry.at)) return true;
  const same = known.find(({ by, copyOf }) => by && (!copyOf || entry.exported) && personKey(by) === personKey(entry.by || reviewer));
  return same !== undefined && (same.at > entry.at || (same.at === entry.at && same.mark === entry.mark && same.note === entry.note));
}

function saveMarks() {
  try {
    storage?.setItem(`sidscan:${index.report_id}`, JSON.stringify([...local]));
    storage?.setItem("sidscan:reviewer", reviewer);
  } catch {
    storage = null;
  }
}

/** What to say when the page is opened. */
function openingWords() {
  const entries = [...local.values()].flat().length, elsewhere = [...local.keys()].filter((key) => !rowsOfKey.has(key)).length;
  return [storage ? "" : S.marksLost, entries ? text("notInReport", { count: entries }) : "",
    elsewhere ? text("elsewhere", { count: elsewhere }) : ""].filter(Boolean).join(" ");
}

// Changes

/** Put a decision in the place of the same person's; without one, only remove that. */
function put(key, person, entry) {
  const others = (local.get(key) || []).filter((each) => personKey(each.by || reviewer) !== person);
  const entries = entry ? [...others, entry] : others;
  if (entries.length) local.set(key, entries);
  else local.delete(key);
  changed = true;
  saveMarks();
}

/** A time later than another, to the second: a clock that was wrong must not make a new decision the older one. */
function timeAfter(at) {
  const now = new Date().toISOString().slice(0, 19) + "Z";
  return at < now ? now : new Date(Date.parse(at) + 1000).toISOString().slice(0, 19) + "Z";
}

function decide(row, { mark, note }) {
  const key = markKey(row), before = ownHere(key), own = ownOf(row);
  const nothing = !mark && !note;
  const toTakeBack = own.reported || before?.exported || (before && !before.mark && !before.note);
  const entry = { by: reviewer, mark, note, at: timeAfter(own.at), path: exactPath(row), exported: false };
  put(key, personKey(reviewer), nothing && !toTakeBack ? null : entry);
}

function setMark(row, change) {
  const { mark, note } = ownOf(row);
  undone.push([row, { mark, note }, ownHere(markKey(row))]);
  decide(row, { mark, note, ...change });
}

/** Undo the last mark and return its row, or null. What was exported meanwhile is decided anew. */
function undoMark() {
  const last = undone.pop();
  if (!last) return null;
  const [row, words, before] = last;
  if (ownHere(markKey(row))?.exported) decide(row, words);
  else put(markKey(row), personKey(reviewer), before);
  return row;
}

function setReviewer(name) {
  for (const entry of [...local.values()].flat()) entry.by ||= reviewer; // those of before keep their name
  reviewer = name.trim();
  for (const entry of [...local.values()].flat()) entry.by ||= reviewer;
  saveMarks();
}

window.addEventListener("beforeunload", (event) => {
  if (changed && countUnexported()) event.preventDefault();
});
