"""What a script does with bentos."""

from bentofn.runtime.management import (
    Bento,
    build,
    build_bentofile,
    delete,
    export_bento,
    get,
    import_bento,
    list,
    serve,
)

__all__ = [
    "Bento",
    "build",
    "build_bentofile",
    "delete",
    "export_bento",
    "get",
    "import_bento",
    "list",
    "serve",
]
