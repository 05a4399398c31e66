// What the file says of its own origin: a word in the list, a facet, and a block of the evidence page. Traces: a facet, a block.

/** The word of a row in short; rows of an earlier sidscan, and inputs that could not be read, have none. */
const provenanceWord = (row) => S.provenanceWords[value(row, "said")] || text("provenanceUnread");

/** In the list only what claims AI stands out. */
function provenanceSign(row) {
  const sign = S.provenanceSigns[value(row, "said")];
  return sign ? element("span", { class: "says-ai", title: provenanceWord(row) }, sign) : "";
}

const CLAIMS = Object.keys(S.provenanceSigns); // what claims most AI first
const claimRank = (row) => (CLAIMS.indexOf(value(row, "said")) + 1 || CLAIMS.length + 1);

/** The file that shows the same image and claims most AI, if that is more than this one does; else undefined. */
function claimingCopy(row) {
  const denied = deniedOf(row), others = membersOf(row).filter((each) => claimRank(each) < claimRank(row) && !denied.has(value(each, "sha256")));
  return others.sort((first, second) => claimRank(first) - claimRank(second))[0];
}

/** The sign of a row, and of a copy that claims more: the strongest copy often is one that lost its metadata. */
function listSigns(row) {
  const copy = claimingCopy(row);
  const sign = copy === undefined ? "" : element("span", { class: "says-ai", title: safe(value(copy, "path")) }, S.copySigns[value(copy, "said")]);
  return element("span", { class: "signs" }, provenanceSign(row), sign);
}

/** In private reports a text may have been left out; they do not say whether there was one. */
const orLeftOut = (content) => content || (index.run.private ? element("span", { class: "dim" }, S.leftOut) : "");

function markerNode(marker) {
  const place = marker.container ? text("markerPlace", { container: safe(marker.container), offset: marker.offset.toLocaleString("en") }) : "";
  return element("li", {}, element("strong", {}, safe(marker.id)), ` (${safe(marker.verdict)}) `, element("span", { class: "dim" }, place),
    marker.value || index.run.private ? element("div", {}, marker.key ? `${safe(marker.key)}: ` : "", element("bdi", {}, orLeftOut(safe(marker.value)))) : null,
    marker.signer ? element("div", { class: "dim" }, `${S.provenanceLabels.signer}: ${safe(marker.signer)}`) : null);
}

/** What was verified of a C2PA manifest: three questions, never one word. */
function signatureFacts(signature) {
  if (!signature) return [];
  const said = (name) => [S.provenanceLabels[name], signature[name]];
  if (signature.error) return [said("error")];
  const answers = ["bytes_unchanged", "signature_good"].map((name) => [S.provenanceLabels[name], S.answers[signature[name]]]);
  answers.push([S.provenanceLabels.signer_listed, S.listedAnswers[signature.signer_listed]]);
  return [...answers, said("signed_at"), [S.provenanceLabels.codes, element("span", {}, ...signature.codes.map((code) => element("div", { class: "code" }, safe(code))))]];
}

/** What failed checks do not mean, as `is_unharmed` in records/images.py; or that nothing was checked. */
function signatureRemark(found) {
  const signature = found.signature;
  if (!signature) return !found.checked && found.markers.some((each) => each.strength === "not_checked") ? text("noVerifier") : "";
  const changed = signature.bytes_unchanged === false || signature.signature_good === false || signature.codes.some((code) => code.includes("mismatch"));
  return changed || !signature.codes.length ? "" : text("unharmed") + (signature.signer_listed === false ? ` ${text("notListed")}` : "");
}

/** The block of the evidence page: the claim, what backs it, what it does not mean, and every marker. */
function provenanceOf(result, row) {
  const found = result.facts.provenance, copy = claimingCopy(row);
  const copySays = copy === undefined ? null : element("p", {}, element("strong", {},
    text("copySays", { path: safe(value(copy, "path")), what: S.copyClaims[value(copy, "said")] })));
  if (!found) return block("provenance", element("p", {}, text("provenanceMissing")), copySays);
  const decisive = found.markers.filter((each) => each.verdict === found.verdict);
  const named = [...new Set(decisive.map((each) => each.says).filter(Boolean))];
  const claims = provenanceSign(row) ? "strong" : "span";
  return block("provenance", element("p", {}, element(claims, {}, S.provenanceTexts[value(row, "said")])),
    found.strength ? element("p", { class: "dim" }, S.strengthTexts[found.strength]) : null, copySays,
    facts([[S.provenanceLabels[found.verdict === "no_ai_claim" ? "program" : "says"], decisive.length ? orLeftOut(named.join("; ")) : ""],
      [S.provenanceLabels.checked, found.checked], ...signatureFacts(found.signature),
      ...(index.run.private ? [[S.credits, orLeftOut("")]] : S.creditNames.map((name) => [S.provenanceLabels[name], found[name]]))]),
    signatureRemark(found) ? element("p", { class: "dim" }, signatureRemark(found)) : null,
    found.markers.length ? element("details", { class: "markers" }, element("summary", {}, text("markerCount", { count: found.markers.length })),
      element("ul", {}, ...found.markers.map(markerNode))) : null);
}

/** What a preview in the file shows, beside the image itself. */
function secondImage(entry) {
  const figure = (name, image) => image && element("figure", {}, element("img", { src: `data:image/webp;base64,${image}`, alt: text(name) }), element("figcaption", {}, text(name)));
  return element("div", { class: "figures" }, figure("secondBeside", entry.thumbnail), figure("secondShown", entry.second));
}

function traceNode(trace, entry, first) {
  const place = trace.container && trace.container !== "name" ? text(trace.offset ? "tracePlace" : "traceIn", { container: safe(trace.container), offset: trace.offset.toLocaleString("en") }) : "";
  return element("li", {}, element("strong", {}, S.traceWords[trace.id] || safe(trace.id)), " ", element("span", { class: "dim" }, place),
    element("div", {}, safe(trace.detail), trace.value ? ": " : "", trace.value ? element("bdi", {}, safe(trace.value)) : null),
    trace === first ? secondImage(entry) : null,
    element("div", { class: "dim" }, S.traceLimits[trace.id] || text("traceUnknown")));
}

/** Traces of how the file was handled, each with what it does not mean. */
function tracesOf(result, entry) {
  const traces = result.facts.traces;
  if (!traces) return block("traces", element("p", {}, text("tracesMissing")));
  if (!traces.length) return block("traces", element("p", {}, text("noTraces")));
  const first = entry.second && traces.find(({ id }) => id === "second_image"); // of which the small image is
  return block("traces", element("p", { class: "dim" }, text("tracesAre")), element("ul", { class: "markers" }, ...traces.map((trace) => traceNode(trace, entry, first))));
}
