"""The programs that draw pictures of dashboards, and what their pictures say. Used by tests of docs and of Prometheus."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

DOCS = Path(__file__).parents[1] / "docs"
_NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawing(name: str) -> ModuleType:
    """A program of docs that draws."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def texts(svg: str) -> list[str]:
    """What is written in a picture."""
    return [one.text or "" for one in ElementTree.fromstring(svg).iter(f"{_NAMESPACE}text")]  # noqa: S314 - our own file
