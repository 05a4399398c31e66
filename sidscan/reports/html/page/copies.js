// Files that show the same image are one case: the strongest of them stands for the others, which fold under it.

const copyRows = new Map(); // group -> its rows, the strongest first
for (let row = 0; row < total; row++) {
  const group = value(row, "copy_group");
  if (group === null) continue;
  if (copyRows.has(group)) copyRows.get(group).push(row);
  else copyRows.set(group, [row]);
}
/** All rows that show the same image as this one, the strongest first. */
const membersOf = (row) => copyRows.get(value(row, "copy_group")) || [row];

/** How many files of the scan show the same; the page has only some of them if it shows chosen rows. */
const countOf = (row) => Math.max(value(row, "copy_count") || 1, membersOf(row).length);

/** The strongest file of a group; undefined if the page does not have it. */
const strongestOf = (row) => (membersOf(row).length === countOf(row) ? membersOf(row)[0]
  : membersOf(row).find((each) => value(each, "path") === value(row, "copy_group")));

const unfolded = new Set(); // groups
let passedCount = 0; // rows that pass the filters, folded ones included

/** Of the rows that pass, in order: one per image, unless its group is unfolded; then the others follow it. */
function fold(rows) {
  passedCount = rows.length;
  if (state.fold === "no") return rows;
  const passed = new Map(); // group -> those of its rows that pass
  for (const row of rows) {
    const group = value(row, "copy_group");
    if (group === null) continue;
    if (passed.has(group)) passed.get(group).push(row);
    else passed.set(group, [row]);
  }
  for (const members of passed.values()) members.sort((first, second) => first - second);
  return rows.flatMap((row) => {
    const group = value(row, "copy_group");
    if (group === null) return [row];
    if (passed.get(group)[0] !== row) return [];
    return unfolded.has(group) ? passed.get(group) : [row];
  });
}

/** Whether a row stands under a stronger one of its group. */
const isUnder = (row) => state.fold !== "no" && unfolded.has(value(row, "copy_group")) && membersOf(row)[0] !== row;

function toggleCopies(row, open = !unfolded.has(value(row, "copy_group"))) {
  if (open) unfolded.add(value(row, "copy_group"));
  else unfolded.delete(value(row, "copy_group"));
}

/** Fold or unfold the chosen image's group; the strongest of it is chosen then. */
function toggleActive() {
  const row = shown[active];
  if (row === undefined || membersOf(row).length < 2 || state.fold === "no") return;
  toggleCopies(row);
  update();
  if (!shown.includes(row)) choose(Math.max(0, shown.findIndex((each) => value(each, "copy_group") === value(row, "copy_group"))), true);
  else choose(shown.indexOf(row), true);
}

/** Lowest and highest score of a group; null without scores. */
function scoreRange(row) {
  const scores = membersOf(row).map((each) => value(each, "score")).filter((score) => score !== null);
  return scores.length ? [Math.min(...scores), Math.max(...scores)] : null;
}

const differing = new Set(); // groups whose members have several words of evidence
for (const [group, rows] of copyRows) if (rows.some((row) => wordOf(row)[0] !== wordOf(rows[0])[0])) differing.add(group);

/** How many files show the image, and how far their scores lie apart. */
function copyWords(row) {
  const here = membersOf(row).length, all = countOf(row), range = scoreRange(row);
  if (all < 2) return "";
  const count = here === all ? all : text("someOf", { here, all });
  const [low, high] = (range || [0, 0]).map((score) => score.toFixed(2));
  return low === high ? text("copyCount", { count }) : text("copyRange", { count, low, high });
}

function copyFacet(row) {
  if (membersOf(row).length < 2) return countOf(row) < 2 ? "" : S.copiesElsewhere;
  return text(differing.has(value(row, "copy_group")) ? "copiesDiffer" : "copiesAgree");
}

/** The count of a group as a button that folds and unfolds it; of a file under a stronger one, what was done to it. */
function copyNode(row) {
  if (countOf(row) < 2) return "";
  if (isUnder(row)) return element("span", { class: "dim" }, copyRelation(row));
  if (state.fold === "no" || membersOf(row).length < 2) return element("span", { class: "dim" }, copyWords(row));
  const open = unfolded.has(value(row, "copy_group"));
  return element("button", { type: "button", class: "copy fold", tabindex: -1, "aria-expanded": String(open),
    onclick: (event) => { event.stopPropagation(); choose(shown.indexOf(row)); toggleActive(); } },
    `${open ? "\u25be" : "\u25b8"} ${copyWords(row)}`);
}

/** What a row is to the strongest of its group. */
function copyRelation(row) {
  const strongest = strongestOf(row);
  if (row === strongest) return S.strongestCopy;
  if (strongest !== undefined && value(row, "sha256") === value(strongest, "sha256")) return S.sameBytes;
  const bits = text("distance", { bits: value(row, "copy_distance") });
  return value(row, "copy_transform") ? `${value(row, "copy_transform")}, ${bits}` : bits;
}

const shortly = (row) => [value(row, "format"), pixels(row)].filter(Boolean).map(safe).join(", ");

/** The sha256 of those that somebody called another image than this one. */
const deniedOf = (row) => new Set((value(row, "copy_answers") || []).filter(([, , same]) => !same).map(([sha256]) => sha256));

/** Of the members of a group that nobody called another image than this one, what the lowest and highest scored. */
function disagreement(row) {
  const denied = deniedOf(row);
  const scored = membersOf(row).filter((each) => value(each, "score") !== null && !denied.has(value(each, "sha256")));
  const ordered = [...scored].sort((first, second) => value(first, "score") - value(second, "score"));
  const others = [ordered[0], ordered.at(-1)].filter((each) => each !== undefined && each !== row
    && formatScore(value(each, "score")) !== formatScore(value(row, "score")));
  if (!others.length || value(row, "score") === null) return "";
  const there = others.map((each) => text("scoredAs", { score: formatScore(value(each, "score")), form: shortly(each) }));
  return text("disagree", { here: formatScore(value(row, "score")), there: there.join(", ") });
}

/** What people said of a member of the group, as seen from this row: of both, or of it and a stronger third one. */
function answersOn(row, member) {
  const here = value(row, "sha256"), there = value(member, "sha256");
  if (here === there) return [];
  const place = new Map(membersOf(row).map((each, at) => [value(each, "sha256"), at]));
  return (value(member, "copy_answers") || []).map(([sha256, path, same, by, at]) => ({ sha256, path, same, by, at, anonymous: !by }))
    .filter(({ sha256 }) => sha256 === here || (place.get(sha256) ?? -1) < place.get(there));
}

function answerLine(row, { sha256, path, same, by, at, anonymous }) {
  const names = sha256 === value(row, "sha256") ? ["otherImage", "sameImage"] : ["otherImageAs", "sameImageAs"];
  const said = text(names[Number(same)], { path: safe(path) });
  return element("div", { class: same ? "dim" : "caution" }, element("bdi", {}, safe(nameOf({ by, anonymous }))),
    `: ${said} (${normalTime(at).replace("T", " ").replace("Z", " UTC")})`);
}

const NO_COPIES = ["noSameBytes", "noCopies", "noDetail"]; // by `compared`

/** The block of the evidence page: each file that shows the image, with its own score. */
function copiesOf(row) {
  const members = membersOf(row);
  const count = countOf(row), elsewhere = count - members.length;
  if (count < 2) return block("copies", element("p", { class: "dim" }, text(NO_COPIES[value(row, "compared")])));
  const disagree = disagreement(row);
  const lines = members.filter((each, place) => place < 50 || answersOn(row, each).length).map((each) => element("li", {},
    element("span", { class: "facts" }, wordNode(each), " ", formatScore(value(each, "score")), " ", provenanceSign(each), " ", element("span", { class: "dim" }, markWords(each))),
    each === row ? element("strong", {}, element("bdi", {}, safe(value(each, "path"))))
      : element("button", { type: "button", onclick: () => goTo(each) }, element("bdi", {}, safe(value(each, "path")))),
    element("div", { class: "dim" }, [copyRelation(each), shortly(each)].filter(Boolean).join("; ")),
    ...answersOn(row, each).map((answer) => answerLine(row, answer))));
  return block("copies", disagree ? element("p", {}, element("strong", {}, disagree)) : null,
    element("p", { class: "dim" }, text("copiesText", { count })), element("ul", { class: "members" }, ...lines),
    members.length > lines.length ? element("p", { class: "dim" }, text("moreCopies", { count: members.length - lines.length })) : null,
    elsewhere ? element("p", {}, text("notOnPage", { count: elsewhere })) : null);
}
