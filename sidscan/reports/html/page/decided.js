// What people decided of one image: each of them, and the buttons and the note of who sits here.

function decided(row) {
  const own = ownOf(row), { decisions, mark } = markOf(row);
  const area = element("textarea", { id: "note", "aria-label": S.note });
  area.value = own.note;
  const printed = element("p", { class: "note-text" }, safe(own.note)); // of a text area only what is in sight is printed
  area.addEventListener("change", () => {
    setMark(row, { note: area.value.trim() });
    printed.textContent = area.value.trim();
    afterMark();
  });
  const buttons = MARKS.map((each) => element("button", { type: "button", "aria-pressed": String(each === own.mark),
    onclick: () => { setMark(row, { mark: each === own.mark ? "" : each }); afterMark(); showImage(); } }, S[each]));
  const name = element("input", { type: "text", value: reviewer, maxlength: 200 });
  name.addEventListener("change", () => { setReviewer(name.value); afterMark(); showImage(); });
  return block("decided", mark === CONFLICT ? element("p", { class: "caution" }, S.conflictText) : null,
    decisions.length ? element("ul", { class: "decisions" }, ...decisions.map(decisionLine)) : null,
    element("div", { class: "marks", role: "group", "aria-label": text("markTitle") }, ...buttons),
    element("h4", {}, S.note), area, printed,
    element("p", { class: "reviewer" }, element("label", {}, `${S.reviewer} `, name)),
    element("p", { class: "dim reviewer" }, text(storage ? "marksKept" : "marksLost")));
}

function decisionLine(decision) {
  const words = [decision.mark ? S[decision.mark] : S.noted, decision.at.replace("T", " ").replace("Z", " UTC"),
    decision.settles ? S.settles : "", decision.copyOf ? text("ofCopy", { path: safe(decision.copyOf) }) : "",
    decision.reported ? "" : S.notInReportYet].filter(Boolean).join(", ");
  return element("li", {}, element("bdi", {}, safe(nameOf(decision))), `: ${words}`,
    decision.note ? element("p", { class: "said", dir: "auto" }, safe(decision.note)) : null);
}
