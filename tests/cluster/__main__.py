"""A cluster for real, with its log: `python -m tests.cluster`."""

import sys
from pathlib import Path

import pytest

sys.exit(pytest.main(["-x", "-s", "-rs", str(Path(__file__).parent), *sys.argv[1:]]))
