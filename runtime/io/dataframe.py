"""pandas data frames: a JSON list of records on the wire, or of anything else pandas takes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec
from bentofn.runtime.validators import Extras

_ORIENTS = {"records": "records", "columns": "list"}
"""BentoML's names to those of ``DataFrame.to_dict``."""


def matches(annotation: Any) -> bool:
    """Whether the type is ``pandas.DataFrame``."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and annotation is getattr(pandas, "DataFrame", None)


def annotate(annotation: Any, extras: Extras) -> Any:
    """The type with its codec.

    Raises:
        ValueError: It is to be oriented in a way that is not served.
    """
    return Annotated[annotation, codec(extras)]


def codec(extras: Extras) -> Codec:
    """How its values are read and written; raises as :func:`annotate` does."""
    orient, columns = extras.orient, extras.columns
    if orient not in _ORIENTS:
        raise ValueError("Only 'records' and 'columns' are supported for orient")

    def parse(value: Any, info: core_schema.ValidationInfo) -> Any:
        import pandas as pd

        if isinstance(value, pd.DataFrame):
            return value
        if not isinstance(value, (list, dict)):
            raise ValueError('the data frame must be a list of records such as [{"column": 1}]')
        try:
            # As in BentoML, columns are selected and ordered, and those that miss are empty.
            return pd.DataFrame(value, columns=None if columns is None else list(columns))
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error

    schema: dict[str, Any] = {"type": "dataframe", "orient": orient}
    if columns is not None:
        schema["columns"] = list(columns)
    return Codec(parse, lambda frame: frame.to_dict(orient=_ORIENTS[orient]), schema)
