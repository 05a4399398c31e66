// The map of a closer look (`sidscan inspect`): the scores of all windows of an image, drawn by the scan.

const FEW_WINDOWS = 4; // fewer than the places of a scan's crops

function mapFigures(each) {
  if (!each.highest) return text("mapAllFlat", { model: safe(each.model), windows: each.windows });
  const [score, x, y] = each.highest, [across, down] = each.stride;
  const flat = each.windows - each.judged;
  return [text("mapFigures", { model: safe(each.model), windows: each.windows, side: each.side, above: each.above,
    judged: each.judged, share: formatPercent(each.above / each.judged), threshold: formatScore(each.threshold),
    highest: formatScore(score), x, y }), each.windows > 1 ? text("mapStride", { across, down }) : "",
    each.windows <= FEW_WINDOWS ? S.mapFew : "",
    flat ? text("mapFlat", { flat }) : ""].filter(Boolean).join(" ");
}

/** The block of an image that somebody looked closer at; its words say all that the colours do. */
function closerLook(entry) {
  if (!entry.map) return null;
  const figures = entry.map.figures.map(mapFigures);
  return element("section", { class: "block map" }, element("h2", {}, S.closer),
    element("p", {}, element("strong", {}, S.mapNot)),
    entry.map.png ? element("img", { src: `data:image/png;base64,${entry.map.png}`, alt: text("mapAlt", { figures: figures.join(" ") }) }) : null,
    ...figures.map((words) => element("p", {}, words)),
    element("p", { class: "dim" }, text(entry.map.png ? "mapMeaning" : "mapLeftOut")),
    element("p", { class: "dim" }, text("mapMadeBy", { by: safe(entry.map.figures[0].made_by) })));
}
