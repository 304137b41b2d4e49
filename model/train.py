"""The sample model's training: breast-cancer records from scikit-learn to `weights.json`, byte for byte.

Run `python -m model.train` to write `model/weights.json` again. scikit-learn is needed here only:
`inference.py` serves the weights with numpy alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# scikit-learn ships no type hints.
from sklearn import (  # type: ignore[import-untyped]
    datasets,
    linear_model,
    metrics,
    model_selection,
    pipeline,
    preprocessing,
)

WEIGHTS = Path(__file__).with_name("weights.json")

SEED = 20_240_501
TEST_SHARE = 0.25
REGULARISATION = 1.0
THRESHOLD = 0.5
DIGITS = 10
"""Significant decimal digits kept: what BLAS and processor change lies beyond them, what a prediction needs
(1e-6) well before."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Dataset:
    """Wisconsin Diagnostic Breast Cancer, in scikit-learn's order.

    `values` is (569, 30) floats, `malignant` (569,) truth values. scikit-learn's own target counts the other
    way round (0 is malignant).
    """

    ids: list[str]
    features: list[str]
    values: Matrix
    malignant: NDArray[np.bool_]


def load() -> Dataset:
    """The data set that ships inside scikit-learn; nothing is downloaded."""
    bunch = datasets.load_breast_cancer()
    values = np.asarray(bunch.data, dtype=np.float64)
    return Dataset(
        ids=[f"wdbc-{row:03d}" for row in range(len(values))],
        features=[str(name) for name in bunch.feature_names],
        values=values,
        malignant=np.asarray(bunch.target) == 0,
    )


def split(data: Dataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers of the training part (426) and of the held-out part (143), ascending; stratified."""
    train, heldout = model_selection.train_test_split(
        np.arange(len(data.ids)), test_size=TEST_SHARE, random_state=SEED, stratify=data.malignant
    )
    return np.sort(train), np.sort(heldout)


def heldout_ids(data: Dataset | None = None) -> list[str]:
    """The ids of the records that the model has never seen."""
    data = data or load()
    return [data.ids[row] for row in split(data)[1]]


def fit(data: Dataset) -> pipeline.Pipeline:
    """Scaling and logistic regression fitted on the training part.

    Newton's method on a strictly convex loss: with this tolerance it ends at the one optimum to about 1e-14,
    so that rounding to `DIGITS` gives the same text on every machine.
    """
    train, _ = split(data)
    regression = linear_model.LogisticRegression(C=REGULARISATION, solver="newton-cholesky", tol=1e-12, max_iter=100)
    return pipeline.make_pipeline(preprocessing.StandardScaler(), regression).fit(
        data.values[train], data.malignant[train]
    )


def weights(data: Dataset) -> dict[str, Any]:
    """Everything that `inference.py` needs, and where it came from, as a JSON object.

    p(malignant) = 1 / (1 + exp(-(intercept + coefficients . (x - mean) / scale))).
    """
    fitted = fit(data)
    scaler, regression = fitted[0], fitted[1]
    _, heldout = split(data)
    truth = data.malignant[heldout]
    p_malignant = fitted.predict_proba(data.values[heldout])[:, 1]
    return {
        "version": _version(data),
        "classes": ["benign", "malignant"],
        "threshold": THRESHOLD,
        "features": data.features,
        "mean": [_rounded(value) for value in scaler.mean_],
        "scale": [_rounded(value) for value in scaler.scale_],
        "coefficients": [_rounded(value) for value in regression.coef_[0]],
        "intercept": _rounded(regression.intercept_[0]),
        "heldout": {
            "records": len(heldout),
            "accuracy": _rounded(np.mean((p_malignant >= THRESHOLD) == truth)),
            "roc_auc": _rounded(metrics.roc_auc_score(truth, p_malignant)),
        },
    }


def write(path: Path = WEIGHTS) -> None:
    """Trains the model and writes its weights to `path`; the same bytes each time."""
    path.write_bytes(json.dumps(weights(load()), indent=1).encode() + b"\n")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _version(data: Dataset) -> str:
    """A short hash of all that decides the weights: the records, the split and the parameters."""
    parameters = [SEED, TEST_SHARE, REGULARISATION, THRESHOLD, DIGITS, data.features]
    digest = hashlib.sha256(json.dumps(parameters).encode())
    digest.update(data.values.astype("<f8").tobytes())
    digest.update(data.malignant.tobytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the sample model and write its weights.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where to write (default: %(default)s)")
    out: Path = parser.parse_args().out
    write(out)
    print(f"wrote {out}")
