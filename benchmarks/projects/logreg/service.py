"""Sentiment of reviews with a logistic regression over hashed words."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load_file
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

import bentofn
from bentofn.models import BentoModel

FEATURES = 1 << 18


@bentofn.service(name="bench-logreg", resources={"cpu": "1"})
class Sentiment:
    """Reviews in, the probability that each is kind out."""

    model = BentoModel("bench-logreg:latest")

    def __init__(self) -> None:
        weights = load_file(self.model.path / "model.safetensors")
        self.words = HashingVectorizer(n_features=FEATURES)
        self.regression = LogisticRegression()
        self.regression.classes_ = np.array([0, 1])
        self.regression.coef_ = weights["coefficients"]
        self.regression.intercept_ = weights["intercept"]

    @bentofn.api(examples=[{"reviews": ["A fine kettle, it boils."]}])
    def judge(self, reviews: list[str]) -> np.ndarray:
        """One probability a review."""
        return self.regression.predict_proba(self.words.transform(reviews))[:, 1]
