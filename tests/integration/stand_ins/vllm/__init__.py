"""As much of vLLM as examples/llm calls, with vLLM's names, arguments and refusals.

Source: https://github.com/vllm-project/vllm, vllm/v1/engine/async_llm.py and input_processor.py. It
needs no GPU, and what it generates is the prompt once more.
"""

from typing import TypedDict

from vllm.sampling_params import SamplingParams as SamplingParams


class TokensPrompt(TypedDict):
    """A prompt that is tokens already."""

    prompt_token_ids: list[int]
