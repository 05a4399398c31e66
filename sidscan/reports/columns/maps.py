"""The columns of what a localizer made of an image."""

from __future__ import annotations

from sidscan.records.localization import Localization
from sidscan.reports.columns.column import Column

COLUMNS: tuple[Column[Localization], ...] = (
    Column(
        "map_model", "localizer that made a map of the image; empty where nobody asked", lambda m: m.localizer
    ),
    Column(
        "map_digest", "first 16 hex digits of each of its files' sha256, joined by `+`", lambda m: m.digest
    ),
    Column(
        "map_finding",
        "`region to look at`, `region, as whole photographs may have` or `no region to look at`; empty where "
        "there is no map",
        lambda m: m.finding,
    ),
    Column(
        "map_area", "share, 0 to 1, of the image's pixels above `map_threshold`", lambda m: m.area, "number"
    ),
    Column(
        "map_alarm_area",
        "share that 1 % of whole photographs exceed; empty where nobody measured it",
        lambda m: m.alarm_area,
        "number",
    ),
    Column(
        "map_contrast",
        "how clearly one part of the map stands out, from 0; empty unless `tiles`",
        lambda m: m.contrast,
        "number",
    ),
    Column(
        "map_alarm_contrast",
        "contrast that 1 % of whole photographs exceed; empty where nobody measured it",
        lambda m: m.alarm_contrast,
        "number",
    ),
    Column(
        "map_region",
        "left, top, right and bottom of the largest region above the threshold, pixels as stored",
        lambda m: m.region,
        type="integers",
    ),
    Column("map_region_area", "share of the image that it has", lambda m: m.region_area, "number"),
    Column("map_maximum", "highest probability of a pixel", lambda m: m.maximum, "number"),
    Column("map_p99", "probability that 99 % of the pixels do not exceed", lambda m: m.p99, "number"),
    Column(
        "map_agreement",
        "of what `global` or `tiles` has above the threshold, the share that both have; empty where one was "
        "run, or neither has any",
        lambda m: m.agreement,
        "number",
    ),
    Column("map_protocol", "`tiles`, `global` or `patches`", lambda m: m.protocol),
    Column(
        "map_scale",
        "pixels, across and down, that one pixel of a tile stood for; 1 is native; empty unless `tiles`",
        lambda m: m.scale,
        "number",
        "integer",
    ),
    Column("map_tiles", "squares that were read for the map", lambda m: m.tiles or None, "number", "integer"),
    Column("map_threshold", "probability above which a pixel counts", lambda m: m.threshold, "number"),
    Column(
        "map_flags",
        "remarks on how the image was read, separated by spaces",
        lambda m: m.flags,
        type="texts",
    ),
    Column("map_message", "why there is no map", lambda m: m.message),
)
