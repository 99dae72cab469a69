"""pandas data frames: a JSON list of records on the wire, or of anything else pandas takes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec


def matches(annotation: Any) -> bool:
    """Whether the type is ``pandas.DataFrame``."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and annotation is getattr(pandas, "DataFrame", None)


def annotate(annotation: Any) -> Any:
    """The type with its codec."""
    schema = {"type": "dataframe", "orient": "records"}
    return Annotated[annotation, Codec(_parse, _serialise, schema)]


def _parse(value: Any, info: core_schema.ValidationInfo) -> Any:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return value
    if not isinstance(value, (list, dict)):
        raise ValueError('the data frame must be a list of records such as [{"column": 1}]')
    try:
        return pd.DataFrame(value)
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _serialise(value: Any) -> Any:
    return value.to_dict(orient="records")
