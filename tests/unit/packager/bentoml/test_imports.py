"""A service's imports of BentoML become imports of bentofn."""

from __future__ import annotations

import pytest

from bentofn.packager.bentoml.imports import adopt_imports


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import bentoml\n", "import bentofn as bentoml\n"),
        ("import bentoml as b # ü\n", "import bentofn as b # ü\n"),
        ("from bentoml import api, Context as C\n", "from bentofn import api, Context as C\n"),
        ("from bentoml.models import get\n", "from bentofn.models import get\n"),
        ("import bentoml.models\n", "import bentofn as bentoml, bentofn.models\n"),
        ("import bentoml.models as m\n", "import bentofn.models as m\n"),
        ("x='ü'; import bentoml; y=1\n", "x='ü'; import bentofn as bentoml; y=1\n"),
        (
            "def f():\r\n\tfrom bentoml import (\r\n\t\tapi,\r\n\t)\r\n\treturn api\r\n",
            "def f():\r\n\tfrom bentofn import api\r\n\treturn api\r\n",
        ),
        ("import os, bentoml\n", "import os, bentofn as bentoml\n"),
    ],
)
def test_imports_are_changed(before: str, after: str) -> None:
    assert adopt_imports(before.encode()).decode() == after


@pytest.mark.parametrize(
    "text",
    ["import bentomlx\n", "from .bentoml import x\n", "text = 'import bentoml'\n", "not python"],
)
def test_nothing_else_is(text: str) -> None:
    assert adopt_imports(text.encode()) == text.encode()
