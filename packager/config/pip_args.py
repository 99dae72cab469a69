"""The options of ``pip install`` that a bentofile's ``python.pip_args`` may hold.

Source: https://pip.pypa.io/en/stable/cli/pip_install/
"""

from __future__ import annotations

import shlex

_VALUES = {
    **{"-i": "--index-url", "--index-url": "--index-url", "--pypi-url": "--index-url"},
    "--extra-index-url": "--extra-index-url",
    **{"-f": "--find-links", "--find-links": "--find-links"},
    "--trusted-host": "--trusted-host",
    **{"-c": "--constraint", "--constraint": "--constraint"},
    **{"-r": "--requirement", "--requirement": "--requirement"},
    **{"--only-binary": "--only-binary", "--no-binary": "--no-binary"},
}
"""Options with a value that are applied, to their long names."""

_FLAGS = frozenset({"--no-index", "--pre"})

_MEANINGLESS_FLAGS = frozenset(
    {
        *("-U", "--upgrade", "-I", "--ignore-installed", "--force-reinstall", "--no-cache-dir"),
        *("-q", "--quiet", "-v", "--verbose", "--no-input", "--no-color", "--prefer-binary"),
        *("--require-hashes", "--compile", "--no-compile", "--disable-pip-version-check"),
        *("--no-warn-script-location", "--no-warn-conflicts", "--break-system-packages"),
        *(
            "--no-clean",
            "--no-build-isolation",
            "--user",
            "--system",
            "--no-python-version-warning",
        ),
    }
)
"""What says how to install into an environment that is there: a bento's is always new, of the
newest versions that fit, with hashes."""

_MEANINGLESS_VALUES = frozenset(
    {"--upgrade-strategy", "--root-user-action", "--progress-bar", "--cache-dir", "--log"}
)


def parse_pip_args(text: str) -> tuple[dict[str, list[str]], list[str]]:
    """Split options of pip.

    Args:
        text: As a shell would read them.

    Returns:
        Long name of each option that is applied to its values, and the names of those that are not.

    Raises:
        ValueError: A quotation mark never ends, or an option has no value.
    """
    found: dict[str, list[str]] = {}
    unknown = []
    words = iter(shlex.split(text))
    for word in words:
        name, equals, value = word.partition("=")
        if word[:2] in ("-i", "-f", "-c", "-r") and len(word) > 2:
            name, equals, value = word[:2], "=", word[2:]
        if name in _VALUES or name in _MEANINGLESS_VALUES:
            value = value if equals else next(words, "")
            if not value:
                raise ValueError(f"{name} has no value")
            if name in _VALUES:
                found.setdefault(_VALUES[name], []).append(value)
        elif word in _FLAGS:
            found[word] = []
        elif word not in _MEANINGLESS_FLAGS:
            unknown.append(name)
    return found, unknown
