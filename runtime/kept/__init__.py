"""Compiled code that is kept: what torch.compile and Triton made before, found again at a start.

A bento carries it as a layer (``compiled`` in its root), made where its examples were answered. A
start (:mod:`.start`) looks for what fits this machine and gives the libraries a directory of their
own, in which it stands beside what they compile anew; :mod:`.report` says what that was, and why.

torch and Triton go by what files hold, never by their times, so a layer's (all zero) do. What ninja
builds (``torch.utils.cpp_extension``) goes by times and by absolute paths, and is not kept.
"""

from __future__ import annotations
