// What a localizer made of an image (`sidscan localize`): the image in grey, and the map over it.

function regions({ regions: made }) {
  return made && element("section", { class: "block map regions" }, element("h2", {}, S.regions), element("p", {}, element("strong", {}, safe(made.finding))), element("p", {}, safe(made.figures)),
    ...made.drawings.map((webp, number) => element("img", { src: `data:image/webp;base64,${webp}`, alt: S.regionImages[number] })),
    element("p", {}, safe(made.how)), element("p", { class: "dim" }, S.regionsText));
}
