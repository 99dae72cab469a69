from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from small_functions import Served, SmallFunctions, serve


@pytest.fixture
def functions() -> SmallFunctions:
    return SmallFunctions()


@pytest_asyncio.fixture
async def served(functions: SmallFunctions, tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(functions, tmp_path) as running:
        yield running
