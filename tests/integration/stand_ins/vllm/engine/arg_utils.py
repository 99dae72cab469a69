"""What an engine is told."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AsyncEngineArgs:
    """Those of vLLM's arguments that the example gives."""

    model: str
    skip_tokenizer_init: bool = False
