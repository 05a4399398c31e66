// The evidence page of one image. Three lines of evidence stand apart: what the detector measured, what the
// file says of itself, what a person decided.

const detailNode = document.getElementById("detail");
const SIDE = 224; // pixels of a crop

function block(title, ...content) {
  return element("section", { class: "block" }, element("h3", {}, S[title] || title), ...content);
}

/** One of the three lines of evidence. */
function line(title, ...blocks) {
  return element("section", { class: "line" }, element("h2", {}, S[title]), ...blocks);
}

function facts(pairs) {
  const list = element("dl");
  for (const [name, content, copied] of pairs) {
    if ((content ?? "") === "" || content === false) continue;
    const shown = typeof content === "object" ? content : safe(content);
    list.append(element("dt", {}, name), element("dd", {}, shown, copied ? copyButton(String(copied)) : null));
  }
  return list;
}

function copyButton(words) {
  const button = element("button", { type: "button", class: "copy" }, S.copy);
  button.addEventListener("click", () => {
    const area = element("textarea", { class: "visually-hidden" });
    area.value = words;
    document.body.append(area);
    area.select();
    document.execCommand("copy"); // the clipboard interface is closed to pages opened from a disk
    area.remove();
    button.textContent = S.copied;
  });
  return button;
}

/** The score on an absolute scale from 0 to 1, with the threshold and the spread of the crops. */
function scale(score) {
  const x = (at) => 10 + 380 * at;
  return element("svg", { class: "scale", viewBox: "0 0 400 40", role: "img",
    "aria-label": `${S.score} ${formatScore(score.score)}, ${S.threshold} ${formatScore(score.threshold)}` },
    element("rect", { x: x(0), y: 12, width: 380, height: 6, fill: "var(--line)" }),
    element("rect", { x: x(score.crop_min), y: 12, width: Math.max(1, x(score.crop_max) - x(score.crop_min)), height: 6, fill: "var(--dim)" }),
    element("line", { x1: x(score.threshold), x2: x(score.threshold), y1: 6, y2: 24, stroke: "var(--text)", "stroke-dasharray": "2 2" }),
    element("rect", { x: x(score.score) - 2, y: 4, width: 4, height: 22, fill: "var(--focus)" }),
    element("text", { x: x(0), y: 38 }, "0"), element("text", { x: x(1) - 6, y: 38 }, "1"),
    element("text", { x: Math.min(x(score.threshold), 340), y: 38, "text-anchor": "middle" }, `${S.threshold} ${formatScore(score.threshold)}`));
}

/** Where a score lies among the photographs of the model's card, in words. */
function percentileWords({ percentile, model }) {
  if (percentile === null || percentile === undefined) return "";
  const above = 100 - percentile, total = index.run.reliability[model]?.photographs;
  if (above <= 0 && total) return text("percentileNone", { total: total.toLocaleString("en") });
  const [count, of] = above >= 1 ? [Math.round(above), "100"] : [Math.max(1, Math.round(10 * above)), "1,000"];
  return text(above > 0 ? "percentileText" : "percentileTop", { count, of });
}

function measured(result) {
  const parts = result.scores.map((score) => {
    const model = index.run.models.find((each) => each.name === score.model) || {};
    return element("div", {},
      element("div", { class: "score-line" }, element("strong", {}, formatScore(score.score)),
        element("span", { class: `word ${CLASSES[WORDS.indexOf(score.evidence)] || "none"}` }, score.evidence),
        element("span", { class: "dim" }, safe(score.model))),
      scale(score),
      ...score.inconclusive.map((reason) => element("p", {}, text("inconclusiveText", { why: S.inconclusiveTexts[reason] || safe(reason) }))),
      ...(score.cautions || []).map((kind) => element("p", {}, S.cautionTexts[kind] || text("cautionText", { kind: safe(kind) }))),
      score.cautions?.length ? element("p", {}, S.cautionMeans) : null,
      facts([
        [S.spread, result.views > 1 && !score.model_input && text("spreadText", { min: formatScore(score.crop_min), max: formatScore(score.crop_max), std: score.crop_std.toFixed(3) })],
        [S.labels.logit, score.logit.toFixed(4)],
        [S.percentile, percentileWords(score)],
        [S.labels.highest, result.views > 1 && score.highest_crop],
        [S.labels.input, safe(score.model_input || "")],
        [S.pValue, score.p_value],
        [S.labels.weights, model.digest],
      ]),
      index.run.reliability[score.model] ? element("p", {}, `${S.misses}: ${safe(index.run.reliability[score.model].sentence)}.`) : null);
  });
  if (!parts.length) {
    parts.push(element("p", {}, `${result.status}: ${safe(result.message || "")}`),
      facts([[S.labels.error, result.error], [S.labels.stage, result.stage]]));
  }
  const models = result.scores.map((score) => safe(score.model)).join(", ");
  return block(severalModels && models ? text("measuredBy", { models }) : "measured", ...parts, element("p", { class: "dim" }, S.caution), result.facts.flags.length ? facts([[S.flags, result.facts.flags.join(", ")]]) : null);
}

/** Where the crops lie: the five of the paper, or the centre alone; their mirror images lie at the same places. */
function cropPlaces(width, height, views) {
  const offsets = (length) => (length < SIDE ? Array(3).fill((length - SIDE) / 2) : [0, length - SIDE, Math.round((length - SIDE) / 2)]);
  const [left, right, middleX] = offsets(width), [top, bottom, middleY] = offsets(height);
  const centre = [middleX, middleY];
  return views > 1 ? [[left, top], [right, top], [left, bottom], [right, bottom], centre] : [centre];
}

/** Of the scores of models that read crops the strongest: by its word, then by its logit. */
function strongest(result) {
  const rank = (score) => WORDS.length - WORDS.indexOf(score.evidence);
  return result.scores.filter((score) => !score.model_input).sort((first, second) => rank(second) - rank(first) || second.logit - first.logit)[0];
}

// Left is right in the mirrored image: its first crop, of its top left corner, shows the top right (VIEW_NAMES).
const MIRRORED = [6, 5, 8, 7, 9];

/** The score at each place: of the crop and, where it was scored, of its mirror image, whichever is higher. */
function placeScores({ crop_scores: scores = [] } = {}) {
  return scores.slice(0, 5).map((score, place) => Math.max(score, scores[MIRRORED[place]] ?? 0));
}

/** A frame around a crop: dark and light, so that it shows on any image; the score stands in it. */
function cropFrame([x, y], score, highest, unit, upright, fits) {
  const box = { x, y, width: SIDE, height: SIDE, fill: "none" };
  const frame = element("g", {}, element("rect", { ...box, stroke: "#000", "stroke-width": 3 * unit }),
    element("rect", { ...box, stroke: highest ? "#ffd54a" : "#fff", "stroke-width": (highest ? 2 : 1) * unit }));
  if (score !== undefined && fits) {
    const size = Math.min(14 * unit, SIDE / 3), centreX = x + SIDE / 2, centreY = y + SIDE / 2;
    frame.append(element("text", { x: centreX, y: centreY, "text-anchor": "middle", "dominant-baseline": "central",
      "font-size": size, class: "crop-score", "stroke-width": size / 5,
      transform: `translate(${centreX} ${centreY}) ${upright} translate(${-centreX} ${-centreY})` }, formatScore(score)));
  }
  return frame;
}

// EXIF 2.3, tag 0x0112: how the stored rows and columns are turned for display.
const TURNS = { 2: "scale(-1 1)", 3: "rotate(180)", 4: "scale(1 -1)", 5: "rotate(90) scale(1 -1)", 6: "rotate(90)", 7: "rotate(-90) scale(1 -1)", 8: "rotate(-90)" };

const UNTURNS = { ...TURNS, 6: "rotate(-90)", 8: "rotate(90)" }; // the others are their own inverse

function looked(result, entry, row) {
  const info = result.facts;
  // A container that turns the image has done so already; EXIF states what it was before.
  const orientation = info.flags.includes("rotated_by_container") ? 1 : info.exif.orientation;
  const width = info.preview_width || info.width, height = info.preview_height || info.height;
  if (!width || !height) return null;
  const turn = TURNS[orientation] || "";
  const [shownWidth, shownHeight] = orientation >= 5 ? [height, width] : [width, height];
  const best = strongest(result), scores = placeScores(best);
  const model = severalModels && best && safe(best.model), title = model ? text("lookedBy", { model }) : S.looked;
  const drawing = element("svg", { viewBox: `${-shownWidth / 2} ${-shownHeight / 2} ${shownWidth} ${shownHeight}`, role: "img",
    "aria-label": [title, scores.map(formatScore).join(", ")].filter(Boolean).join(": ") });
  if (entry.thumbnail) {
    drawing.append(element("image", { href: `data:image/webp;base64,${entry.thumbnail}`, x: -shownWidth / 2, y: -shownHeight / 2, width: shownWidth, height: shownHeight, preserveAspectRatio: "none" }));
  }
  const unit = Math.max(width, height) / 300;
  const places = best ? cropPlaces(width, height, result.views) : [];
  // Else frames overlap, or are too small to read: then the scores stand in a list.
  const fits = Math.min(width, height) > 2.5 * SIDE && Math.max(width, height) < 8 * SIDE;
  const frames = places.map(([x, y], place) => cropFrame([x - width / 2, y - height / 2], scores[place],
    scores.length > 1 && scores[place] === Math.max(...scores), unit, UNTURNS[orientation] || "", fits));
  const listed = fits || !best ? null : facts(scores.map((score, place) => [S.places[places.length > 1 ? place : 4], formatScore(score)]));
  drawing.append(element("g", { transform: turn }, ...frames));
  const share = result.share_scored ? text("shareText", { share: formatPercent(result.share_scored) }) : "";
  return block(title, element("div", { class: "figures" },
    element("figure", { class: "whole" }, drawing, listed, entry.thumbnail ? element("figcaption", {}, text("enlarged")) : null),
    best && highestCrop(best, entry, row, turn)),
    best && element("p", { class: "dim" }, text(result.views > 1 ? "cropsText" : "cropText1", { views: result.views, score: model ? text("scoreOf", { model }) : S.theScore }), " ", share),
    ...result.scores.map((each) => each.model_input && element("p", {}, text("modelRead", { model: safe(each.model), input: safe(each.model_input) }))),
    entry.thumbnail && turn ? element("p", { class: "dim" }, text("turned", { orientation })) : null);
}

/** The crop with the highest score, a pixel for a pixel; else why there is none. */
function highestCrop(score, entry, row, turn) {
  if (!entry.crop) {
    const reason = !index.images ? "cropLeftOut" : rankOf(row) < index.crops ? "cropEarlier" : "cropBeyond";
    return element("p", { class: "dim" }, text(reason, { count: index.crops }));
  }
  const half = SIDE / 2;
  return element("figure", {}, element("svg", { class: "crop", viewBox: `${-half} ${-half} ${SIDE} ${SIDE}`, role: "img", "aria-label": text("cropTitle") },
    element("image", { href: `data:image/webp;base64,${entry.crop}`, x: -half, y: -half, width: SIDE, height: SIDE, transform: turn || null })),
  element("figcaption", {}, text("cropText", { place: score.highest_crop, score: formatScore(score.crop_max) })));
}

function says(result, row) {
  const { exif } = result.facts;
  const pairs = [[S.date, exif.original_date_iso || exif.original_date], [S.camera, value(row, "camera")], [S.labels.lens, exif.lens],
    [S.labels.software, exif.software], [S.labels.orientation, exif.orientation]];
  const tags = Object.entries(exif.tags).map(([name, content]) => [safe(name), Array.isArray(content) ? content.join(", ") : content]);
  return block("says", element("p", { class: "dim" }, text("notChecked")), place(exif),
    pairs.some(([, content]) => content) ? facts(pairs) : tags.length ? null : element("p", {}, text("noExif")),
    tags.length ? element("details", { class: "exif-tags" }, element("summary", {}, `${S.exif} (${tags.length})`),
      element("div", { class: "tags", tabindex: 0, role: "group", "aria-label": S.exif }, facts(tags))) : null);
}

function custody(result) {
  const { facts: info } = result, response = info.response || {};
  const sessions = index.run.sessions || [];
  const session = sessions.filter((each) => each.started <= result.scanned_at).at(-1) || {};
  return block("file", facts([
    [S.path, result.path, result.path], ["sha256", info.sha256, info.sha256], [S.bytes, info.bytes === null ? "" : text("bytesText", { bytes: info.bytes.toLocaleString("en") })], [S.labels.modified, info.modified_at],
    [S.format, info.format], [S.size, info.width ? `${info.width} x ${info.height}` : ""], [S.labels.quality, info.jpeg_quality],
    [S.labels.fetchedFrom, response.final_url, response.final_url], [S.labels.fetchedAt, response.fetched_at], [S.labels.httpStatus, response.http_status],
    [S.labels.savedAs, response.saved_as], [S.labels.scannedAt, result.scanned_at], [S.labels.session, session.started],
    [S.labels.host, session.host], [S.labels.sidscan, index.run.sidscan_version], [S.labels.decoder, result.decoder || index.run.decoder],
    [S.labels.runtime, `${index.run.runtime}, ${index.run.device}, ${index.run.precision}`],
  ]));
}

/** Show the evidence page of the chosen image. */
function showImage() {
  const row = shown[active];
  const entry = chunkEntry(row, () => { if (state.image) showImage(); });
  const button = (name, step) => element("button", { type: "button", onclick: () => turnPage(step) }, S[name]);
  const title = element("h2", { class: "title name", tabindex: -1 }, element("bdi", {}, safe(value(row, "path"))));
  const navigation = element("nav", { "aria-label": S.images }, element("button", { type: "button", onclick: closeImage }, S.back),
    button("previous", -1), button("next", 1), element("span", {}, text("position", { position: active + 1, total: shown.length })));
  const result = entry?.result;
  const content = !result ? [element("p", {}, missingFile ? text("missing", { file: missingFile }) : S.loading)] : [
    element("div", { class: "lines" }, line("lineDetector", measured(result), looked(result, entry, row)),
      line("lineFile", provenanceOf(result, row), tracesOf(result, entry), says(result, row), custody(result), copiesOf(row)), line("linePeople", decided(row))),
    closerLook(entry), regions(entry),
    element("details", { class: "everything" }, element("summary", {}, S.everything), element("pre", { tabindex: 0 }, JSON.stringify(result, null, 1).split("\n").map(safe).join("\n"))),
  ];
  detailNode.replaceChildren(navigation, title, ...content.filter(Boolean));
  return title;
}
