"""Measures the local platform; what and how is in emulated.py.

The standard library has a module of this name. Whoever imports one beside this script means that.
"""

import sys
import sysconfig
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))
    from emulated import main

    main()
else:
    _real = Path(sysconfig.get_path("stdlib"), "platform.py")
    exec(compile(_real.read_text(encoding="utf-8"), _real, "exec"))
