"""Sizes of screens that hardly anything else has, and whose they are.

Left out are sizes that photographs, videos and web pages share: 1920 x 1080, 1280 x 720, 2048 x 1536,
1024 x 768, 960 x 640 and their like.
"""

from __future__ import annotations

# Width and height upright, of screenshots, which on Plus and mini models are not those of the panel. Sources:
# iosref.com/res and ios-resolution.com (iPhone, iPad) and the lists of github.com/Fechin/reference (Android).
# Macs, the iPhones and iPads of 2024 on, Pixel 8 and 9 and some Galaxys are widely stated sizes that were not
# looked up in a maker's data sheet.
_SIZES = {
    (640, 1136): "an iPhone 5 or SE",
    (750, 1334): "an iPhone 6, 7, 8 or SE",
    (1242, 2208): "an iPhone 6, 7 or 8 Plus",
    (1125, 2436): "an iPhone X, XS, 11 Pro, 12 mini or 13 mini",
    (828, 1792): "an iPhone XR or 11",
    (1242, 2688): "an iPhone XS Max or 11 Pro Max",
    (1170, 2532): "an iPhone 12, 13 or 14",
    (1284, 2778): "an iPhone 12 or 13 Pro Max, or 14 Plus",
    (1179, 2556): "an iPhone 14 Pro, 15 or 16",
    (1290, 2796): "an iPhone 14 or 15 Pro Max, 15 or 16 Plus",
    (1206, 2622): "an iPhone 16 Pro or 17",
    (1320, 2868): "an iPhone 16 or 17 Pro Max",
    (1620, 2160): "an iPad of 10.2 inches",
    (1668, 2224): "an iPad of 10.5 inches",
    (1640, 2360): "an iPad of 10.9 inches",
    (1668, 2388): "an iPad Pro of 11 inches",
    (1668, 2420): "an iPad Pro of 11 inches, 2024",
    (2048, 2732): "an iPad Pro of 12.9 inches",
    (2064, 2752): "an iPad Pro of 13 inches",
    (1488, 2266): "an iPad mini of 2021",
    (720, 1480): "an Android phone of 18.5:9",
    (720, 1520): "an Android phone of 19:9",
    (720, 1600): "an Android phone of 20:9",
    (1080, 2160): "an Android phone of 18:9",
    (1080, 2220): "an Android phone of 18.5:9",
    (1080, 2280): "an Android phone of 19:9",
    (1080, 2340): "an Android phone of 19.5:9",
    (1080, 2400): "an Android phone of 20:9",
    (1080, 2424): "a Pixel 9",
    (1280, 2856): "a Pixel 9 Pro",
    (1344, 2992): "a Pixel 8 Pro or 9 Pro XL",
    (1440, 2960): "a Galaxy S8, S9 or Note 8, or a Pixel 3 XL",
    (1440, 3040): "a Galaxy S10 or Note 10+, or a Pixel 4 XL",
    (1440, 3088): "a Galaxy S22 Ultra, S23 Ultra or Note 20 Ultra",
    (1440, 3120): "a Galaxy S24 Ultra, a Pixel 6 Pro or 7 Pro, or a OnePlus 7 Pro",
    (1440, 3200): "a Galaxy S20 or S21 Ultra",
    (1768, 2208): "a Galaxy Z Fold 2, open",
    (1812, 2176): "a Galaxy Z Fold 4 or 5, open",
    (768, 1366): "a laptop of 16:9",
    (1440, 2304): "a MacBook of 12 inches",
    (1664, 2560): "a MacBook Air of 13 inches, 2022 on",
    (1864, 2880): "a MacBook Air of 15 inches",
    (1800, 2880): "a MacBook Pro of 15 inches",
    (1920, 3072): "a MacBook Pro of 16 inches, 2019",
    (1964, 3024): "a MacBook Pro of 14 inches",
    (2234, 3456): "a MacBook Pro of 16 inches, 2021 on",
}


def screens(width: int, height: int) -> str:
    """Whose screens have this size, upright or on their side; empty if none has."""
    return _SIZES.get((min(width, height), max(width, height)), "")
