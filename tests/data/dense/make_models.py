#!/usr/bin/python3
"""Makes the dense test models and what scikit-learn answers for them.

    /usr/bin/python3 tests/data/dense/make_models.py      # Debian: python3-sklearn

NAME.safetensors           the model, written by examples/dense_export.py
NAME.expected.safetensors  "x" F32 [rows][features], "expected" F64 [rows][columns]: scikit-learn's own answer to
                           those float32 rows, computed in float64
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[2] / "examples"))

from dense_export import export, write_safetensors  # noqa: E402

ROWS = 37  # not a multiple of any block of rows


def perceptron(kind, activation, hidden):
    return kind(hidden, activation=activation, solver="lbfgs", max_iter=300, alpha=1.0, random_state=0)


def models():
    """name, the data's loader, the model, the type of its weights"""
    scaled = lambda model: make_pipeline(StandardScaler(), model)  # noqa: E731
    yield "cancer_logistic", load_breast_cancer, scaled(LogisticRegression()), np.float64
    yield "cancer_raw_logistic", load_breast_cancer, LogisticRegression(solver="liblinear"), np.float64
    yield "cancer_multinomial", load_breast_cancer, scaled(LogisticRegression(multi_class="multinomial")), np.float64
    yield "cancer_network", load_breast_cancer, scaled(perceptron(MLPClassifier, "logistic", (9,))), np.float64
    yield "wine_softmax", load_wine, scaled(LogisticRegression()), np.float64
    yield "wine_one_against_rest", load_wine, scaled(LogisticRegression(multi_class="ovr")), np.float64
    yield "wine_imputed", load_wine, make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), np.float64
    yield "digits_network", load_digits, scaled(perceptron(MLPClassifier, "relu", (32, 17))), np.float64
    yield "digits_network_f32", load_digits, scaled(perceptron(MLPClassifier, "tanh", (24,))), np.float32
    yield "digits_network_f16", load_digits, scaled(perceptron(MLPClassifier, "relu", (16,))), np.float16
    yield "diabetes_linear", load_diabetes, LinearRegression(), np.float64
    yield "diabetes_no_intercept", load_diabetes, Ridge(fit_intercept=False), np.float64
    yield "diabetes_network", load_diabetes, scaled(perceptron(MLPRegressor, "tanh", (11, 5))), np.float64


def main():
    warnings.filterwarnings("ignore")  # a fit that stopped early is as good a test
    for name, load, model, dtype in models():
        data = load()
        x = data.data.astype(np.float32)
        if name == "wine_imputed":
            x[np.random.default_rng(0).random(x.shape) < 0.2] = np.nan
        model.fit(x.astype(np.float64), data.target)
        export(model, HERE / f"{name}.safetensors", dtype)
        rows = x[:: len(x) // ROWS][:ROWS]
        ask = model.predict_proba if hasattr(model, "predict_proba") else model.predict
        expected = ask(rows.astype(np.float64)).reshape(ROWS, -1)
        write_safetensors(HERE / f"{name}.expected.safetensors", {"x": rows, "expected": expected}, {})


if __name__ == "__main__":
    main()
