"""What is installed with sidscan, and under which licences, as each package states it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sidscan.libraries import ONNX_RUNTIMES

_NAME = "sidscan"
_NOT_FOR_USERS = ("dev", "docs", "test")  # extras
_LONGEST = 100  # characters; some packages put the whole text of a licence where its name belongs
NOT_STATED = "no name stated"


@dataclass(frozen=True, slots=True)
class Component:
    """An installed package, or data that sidscan itself brings.

    Attributes:
        licence: an SPDX expression or a name, as the package states it; `NOT_STATED` if it doesn't.
        expression: whether ``licence`` is an SPDX expression (PEP 639).
        homepage: an address, or empty.
        needs: names of the installed packages that it depends on.
    """

    name: str
    version: str
    licence: str
    expression: bool = False
    homepage: str = ""
    needs: tuple[str, ...] = field(default=())


BUNDLED = (
    Component("weights of mini and rine-b16", "", "Apache-2.0", True),
    Component(
        "trust lists of C2PA",
        "2026-08-21",
        "CC-BY-4.0",
        True,
        "https://github.com/c2pa-org/conformance-public",
    ),
    Component("outline of the world", "", "public domain", False, "https://www.naturalearthdata.com"),
)
"""Data of others or of our own in the package, which is under Apache-2.0 as a whole."""


def installed_components() -> list[Component]:
    """sidscan, and all installed packages that it needs, extras that are installed included; by name."""
    extras_of: dict[str, set[str]] = {
        _NAME: {"", *_extras(metadata.distribution(_NAME))} - set(_NOT_FOR_USERS)
    }
    waiting = [_NAME]
    while waiting:
        name = waiting.pop()
        for needed, extras in _needs(name, extras_of[name]):
            wanted = {"", *extras}
            if not wanted <= extras_of.get(needed, set()):
                extras_of.setdefault(needed, set()).update(wanted)
                waiting.append(needed)
    names = [_NAME, *sorted(extras_of.keys() - {_NAME})]
    return [_component(metadata.distribution(name), extras_of[name]) for name in names]


def cyclonedx(components: list[Component]) -> dict[str, Any]:
    """A software bill of materials: CycloneDX 1.6, of the first component and what it needs."""
    root = components[0]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", **_cyclonedx_component(root)}},
        "components": [{"type": "library", **_cyclonedx_component(each)} for each in components[1:]]
        + [{"type": "data", "name": each.name, "licenses": _cyclonedx_licences(each)} for each in BUNDLED],
        "dependencies": [
            {
                "ref": _purl(each),
                "dependsOn": [_purl(other) for other in components if other.name in each.needs],
            }
            for each in components
        ],
    }


def _cyclonedx_component(component: Component) -> dict[str, Any]:
    purl = _purl(component)
    references = [{"type": "website", "url": component.homepage}] if component.homepage else []
    return {
        "bom-ref": purl,
        "name": component.name,
        "version": component.version,
        "purl": purl,
        "licenses": _cyclonedx_licences(component),
        **({"externalReferences": references} if references else {}),
    }


def _cyclonedx_licences(component: Component) -> list[dict[str, Any]]:
    if component.licence == NOT_STATED:
        return []
    return [
        {"expression": component.licence}
        if component.expression
        else {"license": {"name": component.licence}}
    ]


def _purl(component: Component) -> str:
    """https://github.com/package-url/purl-spec, type pypi."""
    return f"pkg:pypi/{component.name}@{component.version.replace('+', '%2B')}"


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _component(package: metadata.Distribution, extras: set[str]) -> Component:
    facts = package.metadata.json
    licence, expression = _licence(facts)
    name = canonicalize_name(package.name)
    needs = dict.fromkeys(needed for needed, _ in _needs(name, extras))
    return Component(name, package.version, licence, expression, _homepage(facts), tuple(needs))


def _extras(package: metadata.Distribution) -> list[str]:
    return package.metadata.get_all("Provides-Extra") or []


def _needs(name: str, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Installed packages that a package with some extras needs here, or that serve instead; their extras."""
    for line in metadata.distribution(name).requires or ():
        wanted = Requirement(line)
        here = wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras)
        needed = canonicalize_name(wanted.name)
        if not here or needed == _NAME:
            continue
        for each in ONNX_RUNTIMES if needed in ONNX_RUNTIMES else (needed,):
            if _is_installed(each):
                yield each, wanted.extras


def _licence(facts: Mapping[str, Any]) -> tuple[str, bool]:
    """As stated, and whether it is an SPDX expression."""
    if expression := facts.get("license_expression"):
        return str(expression), True
    stated = str(facts.get("license") or "").strip()
    if stated not in ("", "UNKNOWN") and "\n" not in stated and len(stated) <= _LONGEST:
        return stated, False
    kinds = [line for line in facts.get("classifier", ()) if line.startswith("License :: ")]
    named = [line.rpartition(" :: ")[2] for line in kinds if line.count(" :: ") > 1]
    return ("; ".join(named), False) if named else (NOT_STATED, False)


def _homepage(facts: Mapping[str, Any]) -> str:
    """Of the package's own addresses the first that names its home or its source."""
    stated = [str(line).partition(", ") for line in facts.get("project_url", ())]
    named = {label.strip().lower(): address.strip() for label, _, address in stated}
    for label in ("homepage", "home", "source", "repository", "source code"):
        if label in named:
            return named[label]
    return str(facts.get("home_page") or "")
