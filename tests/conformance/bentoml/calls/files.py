"""What ``cases/files.py`` is asked."""

import base64

from differential import Part, as_json, form, raw

# One red pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 1\n%%EndComments\nshowpage\n%%EOF\n"
_TEXT = Part("file", b"rice", "lunch.txt", "text/plain")

CALLS = [
    form("file", "/length", _TEXT),
    form("file, no type", "/length", Part("file", b"rice", "lunch.txt")),
    form("file, empty", "/length", Part("file", b"", "lunch.txt", "text/plain")),
    form("file missing", "/length", Part("other", b"rice", "lunch.txt", "text/plain")),
    as_json("file as JSON", "/length", {"file": "rice"}),
    as_json("file by a URL", "/length", {"file": "http://127.0.0.1:9/lunch.txt"}),
    form("file by a URL in a form", "/length", Part("file", b"http://127.0.0.1:9/lunch.txt")),
    form("suffix", "/suffix", _TEXT),
    form("file and fields", "/named", _TEXT, Part("name", b"of "), Part("count", b"2")),
    form("file and a wrong field", "/named", _TEXT, Part("name", b"of "), Part("count", b"x")),
    form("two files of one name", "/suffix", _TEXT, Part("file", b"", "b.csv", "text/csv")),
    form(
        "several",
        "/several",
        Part("files", b"a", "a.txt", "text/plain"),
        Part("files", b"bc", "b.txt", "text/plain"),
    ),
    form("several, one", "/several", Part("files", b"abc", "a.txt", "text/plain")),
    form("its name", "/called", _TEXT),
    form("a model", "/letter", Part("title", b"Dear"), Part("text", b"all", "a.txt", "text/plain")),
    form("a model without its file", "/letter", Part("title", b"Dear")),
    form(
        "a model with several files",
        "/letter",
        Part("title", b"Dear"),
        Part("text", b"all", "a.txt", "text/plain"),
        Part("pages", b"1", "1.txt", "text/plain"),
        Part("pages", b"2", "2.txt", "text/plain"),
    ),
    as_json("a model as JSON", "/letter", {"title": "Dear", "text": "a.txt"}),
    as_json("a model beside a field", "/letters", {"letter": {"title": "Dear", "text": "a.txt"}}),
    raw("root", "/root", b"rice", "text/plain"),
    form("root in a form", "/root", _TEXT),
    as_json("writes", "/writes", {}),
    as_json("writes an image", "/writes", {"name": "picture.png"}),
    as_json("writes what nobody knows", "/writes", {"name": "answer.unknown"}),
    as_json("missing", "/missing", {}),
    form("size", "/size", Part("image", PNG, "a.png", "image/png")),
    form("size of no image", "/size", Part("image", b"rice", "a.png", "image/png")),
    form("size of EPS", "/size", Part("image", _EPS, "a.eps", "application/postscript")),
    form(
        "sizes",
        "/sizes",
        Part("images", PNG, "a.png", "image/png"),
        Part("images", PNG, "b.png", "image/png"),
        Part("factor", b"3"),
    ),
    raw("root image", "/root_image", PNG, "image/png"),
    as_json("paints", "/paints", {"width": 2}),
    as_json("a list of files as a result", "/folder", {}),
]
