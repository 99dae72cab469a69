"""Batches of tables, with a short time limit."""

from __future__ import annotations

import bentoml
import pandas as pd


@bentoml.service(traffic={"timeout": 1})
class Case:
    @bentoml.api
    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        return table * 2

    @bentoml.api(batchable=True)
    def batch(self, table: pd.DataFrame) -> pd.DataFrame:
        return table * 2
