// What the file says of its own origin: a word in the list, a facet, and a block of the evidence page. Traces: a facet, a block.

/** The word of a row in short; rows of an earlier sidscan, and inputs that could not be read, have none. */
const provenanceWord = (row) => S.provenanceWords[value(row, "provenance")] || text("provenanceUnread");

/** In the list only what claims AI stands out. */
function provenanceSign(row) {
  const sign = S.provenanceSigns[value(row, "provenance")];
  return sign ? element("span", { class: "says-ai", title: provenanceWord(row) }, sign) : "";
}

function markerNode(marker) {
  const place = marker.container ? text("markerPlace", { container: safe(marker.container), offset: marker.offset.toLocaleString("en") }) : "";
  return element("li", {}, element("strong", {}, safe(marker.id)), ` (${safe(marker.verdict)}) `, element("span", { class: "dim" }, place),
    marker.value ? element("div", {}, marker.key ? `${safe(marker.key)}: ` : "", element("bdi", {}, safe(marker.value))) : null,
    marker.signer ? element("div", { class: "dim" }, `${S.provenanceLabels.signer}: ${safe(marker.signer)}`) : null);
}

/** What was verified of a C2PA manifest: three questions, never one word. */
function signatureFacts(signature) {
  if (!signature) return [];
  const said = (name) => [S.provenanceLabels[name], signature[name]];
  if (signature.error) return [said("error")];
  const answers = ["bytes_unchanged", "signature_good", "signer_listed"].map((name) => [S.provenanceLabels[name], S.answers[signature[name]]]);
  return [...answers, said("signed_at"), [S.provenanceLabels.codes, signature.codes.join(", ")]];
}

/** What the file says, in a sentence or two, as `verdict_text` in provenance_words.py. */
function verdictText(found, decisive) {
  const special = decisive.length && decisive.every(({ id }) => S.markerTexts[id]);
  return special ? S.markerTexts[decisive[0].id] : S.provenanceTexts[found.verdict];
}

/** The block of the evidence page: the claim, what backs it, what it does not mean, and every marker. */
function provenanceOf(result) {
  const found = result.facts.provenance;
  if (!found) return block("provenance", element("p", {}, text("provenanceMissing")));
  const decisive = found.markers.filter((each) => each.verdict === found.verdict);
  const named = [...new Set(decisive.map((each) => each.says).filter(Boolean))];
  const claims = S.provenanceSigns[found.verdict] ? "strong" : "span";
  return block("provenance", element("p", {}, element(claims, {}, verdictText(found, decisive))),
    found.strength ? element("p", { class: "dim" }, S.strengthTexts[found.strength]) : null,
    facts([[S.provenanceLabels.says, named.join("; ")], [S.provenanceLabels.checked, found.checked], ...signatureFacts(found.signature),
      ...S.credits.map((name) => [S.provenanceLabels[name], found[name]])]),
    found.markers.length ? element("details", { class: "markers" }, element("summary", {}, text("markerCount", { count: found.markers.length })),
      element("ul", {}, ...found.markers.map(markerNode))) : null);
}

function traceNode(trace) {
  const place = trace.container ? text("tracePlace", { container: safe(trace.container), offset: trace.offset.toLocaleString("en") }) : "";
  return element("li", {}, element("strong", {}, safe(trace.id)), " ", element("span", { class: "dim" }, place),
    element("div", {}, safe(trace.detail), trace.value ? ": " : "", trace.value ? element("bdi", {}, safe(trace.value)) : null),
    element("div", { class: "dim" }, S.traceLimits[trace.id] || text("traceUnknown")));
}

/** Traces of how the file was handled, each with what it does not mean. */
function tracesOf(result) {
  const traces = result.facts.traces;
  if (!traces) return block("traces", element("p", {}, text("tracesMissing")));
  if (!traces.length) return block("traces", element("p", {}, text("noTraces")));
  return block("traces", element("p", { class: "dim" }, text("tracesAre")), element("ul", { class: "markers" }, ...traces.map(traceNode)));
}
