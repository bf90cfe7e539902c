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
from sklearn.preprocessing import StandardScaler

from dense_export import write_dense
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


def _dense(task: str, scaler: StandardScaler, layers, model_predict) -> Fitted:
    number = layers[0][0].dtype  # of the whole file: one float64 tensor would make all arithmetic double
    mean, scale = scaler.mean_.astype(number), scaler.scale_.astype(number)
    return Fitted(
        lambda rows: model_predict(scaler.transform(rows.astype(np.float64))),
        lambda path: write_dense(path, task, layers, mean, scale),
        ".safetensors",
    )


def _as_float32(numbers: np.ndarray) -> np.ndarray:
    """Float64 numbers that float32 holds exactly."""
    return numbers.astype(np.float32).astype(np.float64)


def _last_activation(table: Table) -> str:
    return {0: "identity", 2: "sigmoid"}.get(len(table.classes), "softmax")


def logistic(table: Table, features, targets) -> Fitted:
    scaler = StandardScaler().fit(features.astype(np.float64))
    model = LogisticRegression(C=0.5, max_iter=2000).fit(scaler.transform(features.astype(np.float64)), targets)
    layers = [(model.coef_, model.intercept_, _last_activation(table))]
    return _dense("classification", scaler, layers, model.predict_proba)


def linear(table: Table, features, targets) -> Fitted:
    scaler = StandardScaler().fit(features.astype(np.float64))
    model = Ridge(alpha=5.0).fit(scaler.transform(features.astype(np.float64)), targets)
    layers = [(model.coef_[None, :], np.array([model.intercept_]), "identity")]
    return _dense("regression", scaler, layers, model.predict)


def network(table: Table, features, targets) -> Fitted:
    """All numbers are rounded to float32 before anybody asks the model: that is what the file holds."""
    scaler = StandardScaler().fit(features.astype(np.float64))
    scaler.mean_, scaler.scale_ = _as_float32(scaler.mean_), _as_float32(scaler.scale_)
    inputs = scaler.transform(features.astype(np.float64))
    settings = {"hidden_layer_sizes": (24,) if len(table.classes) > 3 else (8,), "solver": "lbfgs",
                "random_state": SEED, "max_iter": 4000}
    if table.classes:
        model = MLPClassifier(alpha=3.0, activation="relu", **settings).fit(inputs, targets)
    else:
        # lbfgs wants targets of about 1. The last layer takes the stretching back, so the model answers in
        # the targets' own unit.
        mean, spread = targets.mean(), targets.std()
        model = MLPRegressor(alpha=30.0, activation="tanh", **settings).fit(inputs, (targets - mean) / spread)
        model.coefs_[-1] *= spread
        model.intercepts_[-1] = model.intercepts_[-1] * spread + mean
    model.coefs_ = [_as_float32(weight) for weight in model.coefs_]
    model.intercepts_ = [_as_float32(bias) for bias in model.intercepts_]

    activations = [model.activation] * (len(model.coefs_) - 1) + [_last_activation(table)]
    layers = [
        (np.ascontiguousarray(weight.T, np.float32), bias.astype(np.float32), activation)
        for weight, bias, activation in zip(model.coefs_, model.intercepts_, activations)
    ]
    task = "classification" if table.classes else "regression"
    return _dense(task, scaler, layers, model.predict_proba if table.classes else model.predict)


def of(table: Table) -> dict[str, Callable]:
    """The members that are trained on this table, by name."""
    simple = {"logistic": logistic} if table.classes else {"linear": linear}
    return {"boosted": boosted, "forest": forest, **simple, "network": network}
