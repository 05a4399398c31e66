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
    marker.signer ? element("div", { class: "dim" }, text("markerSigner", { signer: safe(marker.signer) })) : null);
}

const answer = (said) => text(said === null ? "notKnown" : said ? "yes" : "no");

/** What was verified of a C2PA manifest: three questions, never one word. */
function signatureFacts(signature) {
  if (!signature) return [];
  if (signature.error) return [[S.whatFailed, signature.error]];
  return [[S.bytesUnchanged, answer(signature.bytes_unchanged)], [S.signatureFits, answer(signature.signature_good)],
    [S.signerListed, answer(signature.signer_listed)], [S.signedAt, signature.signed_at], [S.whatFailed, signature.codes.join(", ")]];
}

const CREDITS = ["byline", "credit", "source", "caption", "copyright"];

/** The block of the evidence page: the claim, what backs it, what it does not mean, and every marker. */
function provenanceOf(result) {
  const found = result.facts.provenance;
  if (!found) return block("provenance", element("p", {}, text("provenanceMissing")));
  const named = [...new Set(found.markers.filter((each) => each.verdict === found.verdict).map((each) => each.says).filter(Boolean))];
  const claims = S.provenanceSigns[found.verdict] ? "strong" : "span";
  return block("provenance", element("p", {}, element(claims, {}, S.provenanceTexts[found.verdict])),
    found.strength ? element("p", { class: "dim" }, S.strengthTexts[found.strength]) : null,
    facts([[S.namedMaker, named.join("; ")], ...signatureFacts(found.signature), [S.provenanceChecked, found.checked],
      ...CREDITS.map((name) => [S.credits[name], found[name]])]),
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
