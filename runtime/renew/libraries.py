"""The random generators that libraries keep for everybody."""

from __future__ import annotations

import os
import random
import sys

from bentofn.runtime.renew.generators import fresh_seed, renew_generator


def renew_libraries() -> None:
    """Seed anew the global generators of the libraries that are loaded."""
    random.seed()
    _renew_openssl()
    _renew_numpy()
    _renew_torch()


def _renew_openssl() -> None:
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        # OpenSSL notices a fork, but not a restore under the same process id.
        ssl.RAND_add(os.urandom(64), 64.0)


def _renew_numpy() -> None:
    mtrand = sys.modules.get("numpy.random.mtrand")
    if mtrand is not None:
        renew_generator(mtrand._rand)


def _renew_torch() -> None:
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.default_generator.manual_seed(fresh_seed())
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(fresh_seed())
