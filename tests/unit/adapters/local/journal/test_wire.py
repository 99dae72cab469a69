from __future__ import annotations

import json
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.journal.events import Event
from bentofn.adapters.local.journal.wire import from_json, to_json

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.one_of(*(st.builds(each, at=FINITE) for each in get_args(Event))))
def test_every_event_comes_out_as_it_went_in(event: Event) -> None:
    raw = to_json(event)
    assert repr(from_json(json.loads(json.dumps(raw)))) == repr(event)
