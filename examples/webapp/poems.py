"""Poems out of lines that fit each other."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

_STANZAS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        (
            "I kept {about} in the drawer with the keys,",
            "Somebody left {about} outside the door,",
            "All morning the window was full of {about},",
            "They told us that {about} would come in spring,",
            "There was a word for {about} in my mother’s house,",
        ),
        (
            "between a photograph and last year’s seeds,",
            "wrapped in the paper of an older day,",
            "and nobody asked what it wanted from us,",
            "quiet as snow that has not decided,",
            "small enough to be carried by hand,",
        ),
        (
            "and it hummed there, softly, like a fridge at night.",
            "and the whole street leaned a little to see.",
            "and even the kettle was slow to speak.",
            "and the clock went on as if it knew.",
            "and I said its name to hear it answer.",
        ),
    ),
    (
        (
            "What does it weigh? No more than a look.",
            "Ask the river. It has held it for years.",
            "Some things you measure by what they leave:",
            "My neighbour says it is only the wind.",
            "I have tried to draw it. I drew a boat.",
        ),
        (
            "A warm place in the grass, a door ajar,",
            "One light on the hill, then two, then none,",
            "The ring of a cup on an unread page,",
            "A coat that remembers the shape of a shoulder,",
            "A long field folding its colours away,",
        ),
        (
            "the sound of a train that is not coming here.",
            "a tune with the last note still in the air.",
            "the way you wait when the phone has stopped.",
            "salt on the sill where the sea has been.",
            "a name in the dust on the back of a van.",
        ),
    ),
    (
        (
            "So let it stay. There is room on the shelf.",
            "Tonight I will open the window again.",
            "If you should meet {about}, be kind.",
            "Tomorrow we start with the simplest things:",
            "It is late. The kitchen is blue and still.",
        ),
        (
            "bread, and the cat, and the weather, and {about},",
            "We have learned to set one more plate for {about},",
            "Nothing is finished, and least of all {about},",
            "Whatever the dark wants, it does not want {about},",
            "I leave you the lamp, and the stairs, and {about},",
        ),
        (
            "and after that, the morning, and after that, us.",
            "the way that you leave a small light on.",
            "and the world, which is larger than this, and near.",
            "and somewhere a gate, and the gate is open.",
            "and nothing to do but to listen, and stay.",
        ),
    ),
)
"""Of each stanza, what each of its lines may be."""


def words_of(about: str, edition: int) -> Iterator[str]:
    """The words of a poem, each with the space or line break that follows it.

    Args:
        about: Its subject.
        edition: Which of the poems about it.
    """
    chance = random.Random(f"{edition} {about}")
    subject = " ".join(about.split())
    stanzas = [
        "\n".join(chance.choice(lines).format(about=subject) for lines in stanza)
        for stanza in _STANZAS
    ]
    yield from re.findall(r"\S+\s*", "\n\n".join(stanzas))
