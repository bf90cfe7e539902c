"""The members of the example ensembles: how each is trained, asked and written to a file.

    boosted   XGBoost, gradient boosting by histograms      ──▶ boosted.json
    forest    XGBoost, few rounds of many random trees      ──▶ forest.ubj
    logistic  scikit-learn, (multinomial) logistic          ──▶ logistic.safetensors
    linear    scikit-learn, ridge, for regression           ──▶ linear.safetensors
    network   scikit-learn, perceptron, one hidden layer    ──▶ network.safetensors

Each is a function `fit(table, features, targets) -> predict`, so that stacking can train it again on a part
of the rows. `predict` is the training library's own and answers in the library's own type: float32 from
XGBoost, float64 from scikit-learn, which is asked about the same float32 rows that tutti sees.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dense_export import export
from tables import SEED, Table


@dataclass
class Fitted:
    """A trained member. predict: f32 [rows][columns] → [rows][classes], or [rows] for regression and for
    XGBoost's binary models, which answer with the probability of class 1."""

    predict: Callable[[np.ndarray], np.ndarray]
    save: Callable[[Path], None]
    ending: str


# ---- trees ----


def _xgboost(table: Table, features, targets, ending: str, rounds: int, **extra) -> Fitted:
    objective = {0: "reg:squarederror", 2: "binary:logistic"}.get(len(table.classes), "multi:softprob")
    # nthread=1: sums in one order, so the same trees on every run.
    parameters = {"objective": objective, "tree_method": "hist", "nthread": 1, "seed": SEED, **extra}
    if not table.classes:
        parameters["base_score"] = float(np.mean(targets))
    if objective == "multi:softprob":
        parameters["num_class"] = len(table.classes)
    data = xgboost.DMatrix(features, targets, feature_names=table.columns)
    booster = xgboost.train(parameters, data, rounds)

    def predict(rows: np.ndarray) -> np.ndarray:
        return booster.predict(xgboost.DMatrix(rows, feature_names=table.columns))

    return Fitted(predict, lambda path: booster.save_model(path), ending)


def boosted(table: Table, features, targets) -> Fitted:
    rounds = 40 if len(table.classes) > 3 else 80
    eta = 0.15 if table.classes else 0.06
    return _xgboost(table, features, targets, ".json", rounds, max_depth=3, eta=eta, subsample=0.8)


def forest(table: Table, features, targets) -> Fitted:
    return _xgboost(table, features, targets, ".ubj", 4, num_parallel_tree=6, max_depth=5, eta=0.6,
                    subsample=0.7, colsample_bynode=0.4)


# ---- dense layers ----


def _dense(pipeline: Pipeline, dtype: type) -> Fitted:
    answer = pipeline.predict_proba if hasattr(pipeline, "predict_proba") else pipeline.predict
    return Fitted(
        lambda rows: answer(rows.astype(np.float64)),
        lambda path: export(pipeline, path, dtype),
        ".safetensors",
    )


def logistic(table: Table, features, targets) -> Fitted:
    model = LogisticRegression(C=0.5, max_iter=2000)
    return _dense(make_pipeline(StandardScaler(), model).fit(features.astype(np.float64), targets), np.float64)


def linear(table: Table, features, targets) -> Fitted:
    model = Ridge(alpha=5.0)
    return _dense(make_pipeline(StandardScaler(), model).fit(features.astype(np.float64), targets), np.float64)


def network(table: Table, features, targets) -> Fitted:
    settings = {"hidden_layer_sizes": (24,) if len(table.classes) > 3 else (8,), "solver": "lbfgs",
                "random_state": SEED, "max_iter": 4000}
    # lbfgs wants targets of about 1. The last layer takes the stretching back below, so that the model answers
    # in the targets' own unit.
    mean, spread = (0, 1) if table.classes else (targets.mean(), targets.std())
    if table.classes:
        model = MLPClassifier(alpha=3.0, activation="relu", **settings)
    else:
        model = MLPRegressor(alpha=30.0, activation="tanh", **settings)
    scaler = StandardScaler()
    pipeline = make_pipeline(scaler, model).fit(
        features.astype(np.float64), targets if table.classes else (targets - mean) / spread
    )
    model.coefs_[-1] = model.coefs_[-1] * spread
    model.intercepts_[-1] = model.intercepts_[-1] * spread + mean

    # The file holds float32, so the model is rounded to it before anybody asks it.
    scaler.mean_, scaler.scale_ = _as_float32(scaler.mean_), _as_float32(scaler.scale_)
    model.coefs_ = [_as_float32(weight) for weight in model.coefs_]
    model.intercepts_ = [_as_float32(bias) for bias in model.intercepts_]
    return _dense(pipeline, np.float32)


def _as_float32(numbers: np.ndarray) -> np.ndarray:
    """Float64 numbers that float32 holds exactly."""
    return numbers.astype(np.float32).astype(np.float64)


def of(table: Table) -> dict[str, Callable]:
    """The members that are trained on this table, by name."""
    simple = {"logistic": logistic} if table.classes else {"linear": linear}
    return {"boosted": boosted, "forest": forest, **simple, "network": network}
