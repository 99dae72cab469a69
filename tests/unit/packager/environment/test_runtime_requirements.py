"""What the runtime needs in an environment besides, for what a service's code names."""

from __future__ import annotations

import pytest

from bentofn.packager.environment.runtime_requirements import named_requirements


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (b"@bentoml.asgi_app(app, path='/v1')", ["wsproto"]),
        (b"svc.mount_wsgi_app(flask)", ["a2wsgi"]),
        (b"from bentoml import SyncHTTPClient", ["httpx"]),
        (b"llm = bentoml.depends(\n    url='http://x'\n)", ["httpx"]),
        (b"OpenAI(http_client=self.llm.to_sync.client)", ["httpx"]),
        (b"other = bentoml.depends(Other)\nurl = 1", []),
        (b"def f(self, rows: np.ndarray) -> torch.Tensor", ["pysimdjson"]),
        (b"import bentoml", []),
    ],
)
def test_what_is_named_is_there(code: bytes, names: list[str]) -> None:
    assert [line.partition(">")[0] for line in named_requirements([b"", code])] == names
