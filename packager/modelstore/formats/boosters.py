"""Gradient boosters in the formats of their own libraries, which hold numbers and no code."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from bentofn.packager.modelstore.formats.base import Checked, not_whole
from bentofn.packager.modelstore.policy import Policy

_UBJ_START = b"{L\0\0\0\0\0\0\0\x07learner"
_XGBOOST_KEYS = {"learner", "version"}
_LIGHTGBM_START = b"tree\nversion=v"
_LIGHTGBM_END = b"end of trees"
_CATBOOST_MAGIC = b"CBM1"


class XGBoost:
    """XGBoost's JSON and UBJSON.

    Source: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
    """

    name = "xgboost"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        return start.startswith(_UBJ_START) or (
            source.suffix.lower() == ".json" and start.startswith(b'{"learner":{')
        )

    def check(self, source: Path, policy: Policy) -> Checked:
        data = source.read_bytes()
        if data.startswith(_UBJ_START):
            if not data.endswith(b"}"):
                raise not_whole(source, "XGBoost model", "it ends in the middle")
            return Checked()
        try:
            model = json.loads(data)
        except (ValueError, RecursionError):
            raise not_whole(source, "XGBoost model", "it is not JSON") from None
        if not isinstance(model, dict) or not model.keys() >= _XGBOOST_KEYS:
            raise not_whole(source, "XGBoost model", "it has no learner and version")
        return Checked()


class LightGBM:
    """LightGBM's text, whatever the file is called.

    Source: GBDT::SaveModelToString of
    https://github.com/microsoft/LightGBM/blob/master/src/boosting/gbdt_model_text.cpp
    """

    name = "lightgbm"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        return start.replace(b"\r\n", b"\n").startswith(_LIGHTGBM_START)

    def check(self, source: Path, policy: Policy) -> Checked:
        if _LIGHTGBM_END not in source.read_bytes():
            raise not_whole(source, "LightGBM model", "its trees do not end")
        return Checked()


class CatBoost:
    """CatBoost's ``.cbm``: a magic number, the length of a flatbuffer, the flatbuffer.

    Source: https://github.com/catboost/catboost/blob/master/catboost/libs/model/model.cpp
    """

    name = "catboost"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        return start.startswith(_CATBOOST_MAGIC)

    def check(self, source: Path, policy: Policy) -> Checked:
        with source.open("rb") as file:
            start = file.read(8)
        if len(start) < 8 or source.stat().st_size < 8 + struct.unpack_from("<I", start, 4)[0]:
            raise not_whole(source, "CatBoost model", "it is shorter than its header says")
        return Checked()
