from __future__ import annotations

from serving import serving as serving  # a fixture
