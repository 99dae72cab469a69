"""CUDA graphs that torch.compile records (``mode="reduce-overhead"``): each thread has its own.

Source: ``torch/_inductor/compile_fx.py`` (``cudagraphify``, whose function is a thread's) and
``cudagraph_trees.py`` (``get_obj``) of torch 2.13. They end with their thread; before 2.13 a thread
other than that which loaded the module cannot call the function at all.
"""

from __future__ import annotations

import sys

_TREES = "torch._inductor.cudagraph_trees"


def are_recorded() -> bool:
    """Whether this process uses a GPU, and torch records what it compiled as graphs."""
    cuda = sys.modules.get("torch.cuda")
    return _TREES in sys.modules and cuda is not None and cuda.is_initialized()
