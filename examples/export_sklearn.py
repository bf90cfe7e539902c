#!/usr/bin/python3
"""Writes a scikit-learn model of trees as JSON, which tutti's native executor answers from without Python.

    from export_sklearn import save
    save(model, "model.json")

    export_sklearn.py model.joblib model.json        only for pickles of your own: to open one is to run it

Models: DecisionTree, RandomForest and ExtraTrees, GradientBoosting and HistGradientBoosting, each as classifier and
regressor, and IsolationForest (score_samples). In front of them, in a Pipeline: StandardScaler, MinMaxScaler,
SimpleImputer, OneHotEncoder, and ColumnTransformer with columns by number.

tutti's rows are float32, so what is promised is what the model says to a float32 array: predict_proba of a
classifier, predict of a regressor. Sums are the same to the last bit of a double; after an exp the C library's may
differ from numpy's in a double's last bit, before both are rounded to float32. A class is its place in classes_.
The format is described in worker/scikit.hpp. Anything that cannot be said in it is refused here.
"""
import json
import math
import sys

import numpy as np


class Refused(ValueError):
    """Why a model cannot be written, told to its owner."""


def kind(estimator):
    return type(estimator).__name__


def plain(number):
    """JSON knows no NaN: null stands for it."""
    number = float(number)
    return None if math.isnan(number) else number


# ---- what is done to the columns in front of the trees ----

class Columns:
    """Each column is (from, steps); `narrow` while numpy computes in float32, as every step of the format does."""

    def __init__(self, columns, narrow=True):
        self.columns = columns
        self.narrow = narrow

    def take(self, numbers):
        return Columns([self.columns[number] for number in numbers], self.narrow)

    def with_steps(self, what, steps_of):
        if not self.narrow and any(steps_of):
            raise Refused(f"{what} computes in float64 here: put it in front of the OneHotEncoder")
        return Columns([(source, steps + more) for (source, steps), more in zip(self.columns, steps_of)], self.narrow)


def standard_scaler(scaler, columns):
    count = len(columns.columns)
    steps = [[] for _ in range(count)]
    for column in range(count):
        if scaler.with_mean:
            steps[column].append(["subtract", float(scaler.mean_[column])])
        if scaler.with_std:
            steps[column].append(["divide", float(scaler.scale_[column])])
    return columns.with_steps(kind(scaler), steps)


def min_max_scaler(scaler, columns):
    steps = [[["multiply", float(scale)], ["add", float(least)]] for scale, least in zip(scaler.scale_, scaler.min_)]
    if scaler.clip:
        low, high = scaler.feature_range
        steps = [more + [["at_least", float(low)], ["at_most", float(high)]] for more in steps]
    return columns.with_steps(kind(scaler), steps)


def simple_imputer(imputer, columns):
    if getattr(imputer, "indicator_", None) is not None:
        raise Refused("SimpleImputer with add_indicator")
    if not (isinstance(imputer.missing_values, float) and math.isnan(imputer.missing_values)):
        raise Refused(f"SimpleImputer with missing_values={imputer.missing_values!r}: only NaN")
    statistics = [float(number) for number in imputer.statistics_]
    keep = [column for column, number in enumerate(statistics) if not math.isnan(number)]
    if len(keep) < len(statistics) and getattr(imputer, "keep_empty_features", False):
        raise Refused("SimpleImputer that keeps empty features")
    return columns.take(keep).with_steps(kind(imputer), [[["fill_missing", statistics[column]]] for column in keep])


def one_hot_encoder(encoder, columns):
    if getattr(encoder, "infrequent_categories_", None) is not None and any(
            names is not None for names in encoder.infrequent_categories_):
        raise Refused("OneHotEncoder with infrequent categories")
    made = []
    for (source, steps), categories, number in zip(columns.columns, encoder.categories_, range(len(columns.columns))):
        dropped = encoder.drop_idx_[number] if encoder.drop_idx_ is not None else None
        for place, category in enumerate(categories):
            if place != dropped:
                made.append((source, steps + [["equals", plain(category)]]))
    return Columns(made, narrow=False)


def column_transformer(transformer, columns):
    made = []
    narrow = True
    for _, part, numbers in transformer.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        if isinstance(numbers, slice):
            numbers = range(*numbers.indices(len(columns.columns)))
        numbers = np.asarray(list(numbers))
        if numbers.dtype == bool:
            numbers = np.flatnonzero(numbers)
        if len(numbers) and numbers.dtype.kind not in "iu":
            raise Refused("ColumnTransformer with columns by name: give their numbers")
        done = transform(part, columns.take([int(number) for number in numbers]))
        made += done.columns
        narrow = narrow and done.narrow
    return Columns(made, narrow)


def transform(step, columns):
    if step is None or step == "passthrough":
        return columns
    known = {"StandardScaler": standard_scaler, "MinMaxScaler": min_max_scaler, "SimpleImputer": simple_imputer,
             "OneHotEncoder": one_hot_encoder, "ColumnTransformer": column_transformer}
    if kind(step) == "Pipeline":
        for _, inner in step.steps:
            columns = transform(inner, columns)
        return columns
    if kind(step) == "FunctionTransformer" and step.func is None:
        return columns  # a passthrough of newer versions
    if kind(step) not in known:
        raise Refused(f"{kind(step)} in front of the model")
    return known[kind(step)](step, columns)


# ---- trees ----

def binary_tree(tree, values, group=0, features=None):
    """A sklearn.tree Tree; `values` is [nodes][outputs]."""
    inner = tree.children_left >= 0
    names = tree.feature if features is None else np.where(inner, np.asarray(features)[tree.feature], 0)
    made = {"group": group,
            "left": [int(c) if c >= 0 else -1 for c in tree.children_left],
            "right": [int(c) if c >= 0 else -1 for c in tree.children_right],
            "feature": [int(f) if i else 0 for f, i in zip(names, inner)],
            "threshold": [float(t) if i else 0.0 for t, i in zip(tree.threshold, inner)],
            "value": [float(v) for v, i in zip(np.where(inner[:, None], 0.0, values).ravel(),
                                               np.repeat(inner, values.shape[1]))]}
    left = getattr(tree, "missing_go_to_left", None)  # since 1.3
    if left is not None and np.any(left):
        made["missing_left"] = [int(flag) for flag in left]
    return made


def probabilities(tree):
    """[nodes][classes], as the tree's predict_proba has them."""
    if tree.n_outputs != 1:
        raise Refused("a classifier with several outputs")
    value = tree.value[:, 0, :].copy()
    fractions = math.isclose(value[0].sum(), 1.0) and tree.weighted_n_node_samples[0] != 1.0
    if not fractions:  # counts, before 1.4
        total = value.sum(axis=1)[:, np.newaxis]
        total[total == 0.0] = 1.0
        value /= total
    return value


def averaged(estimator, trees):
    divisor = float(len(trees))
    if hasattr(estimator, "classes_"):
        values = [probabilities(tree) for tree in trees]
        return {"kind": "probabilities", "base": [0.0] * values[0].shape[1], "link": {"divisor": divisor},
                "trees": [binary_tree(tree, value) for tree, value in zip(trees, values)]}
    return {"kind": "value", "base": [0.0] * trees[0].n_outputs, "link": {"divisor": divisor},
            "trees": [binary_tree(tree, tree.value[:, :, 0]) for tree in trees]}


def decision_tree(estimator):
    return averaged(estimator, [estimator.tree_])


def forest(estimator):
    return averaged(estimator, [tree.tree_ for tree in estimator.estimators_])


def classes_link(groups, scale=1.0):
    if groups == 1:
        return {"function": "two_classes", "scale": scale}
    return {"function": "softmax"}


def gradient_boosting(estimator):
    init = getattr(estimator, "init_", "zero")
    if not isinstance(init, str) and not kind(init).startswith("Dummy"):
        raise Refused(f"GradientBoosting that starts from {kind(init)}")
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))[0]
    trees = [binary_tree(tree.tree_, estimator.learning_rate * tree.tree_.value[:, :, 0], group)
             for stage in estimator.estimators_ for group, tree in enumerate(stage)]
    made = {"kind": "value", "base": [float(b) for b in base], "link": {}, "trees": trees}
    if hasattr(estimator, "classes_"):
        made["kind"] = "probabilities"
        if len(base) > 1 and estimator.loss == "exponential":
            raise Refused("an exponential loss of several classes")
        made["link"] = classes_link(len(base), 2.0 if estimator.loss == "exponential" else 1.0)
    return made


def members(bits):
    return [32 * word + bit for word in range(len(bits)) for bit in range(32) if int(bits[word]) >> bit & 1]


def histogram_tree(predictor, group, known, places):
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    made = {"group": group,
            "left": [int(c) if i else -1 for c, i in zip(nodes["left"], inner)],
            "right": [int(c) if i else -1 for c, i in zip(nodes["right"], inner)],
            "feature": [int(f) if i else 0 for f, i in zip(nodes["feature_idx"], inner)],
            "threshold": [], "value": [float(v) if not i else 0.0 for v, i in zip(nodes["value"], inner)],
            "missing_left": [int(flag) for flag in nodes["missing_go_to_left"]]}
    sets = []
    for number, node in enumerate(nodes):
        threshold = float(node["num_threshold"]) if inner[number] and not node["is_categorical"] else 0.0
        made["threshold"].append("infinity" if threshold == math.inf else threshold)
        if inner[number] and node["is_categorical"]:
            left = members(predictor.raw_left_cat_bitsets[node["bitset_idx"]])
            all_known = members(known[places[node["feature_idx"]]])
            # Unknown categories count as missing; so what is listed is what goes to the other side.
            if node["missing_go_to_left"]:
                sets.append({"node": number, "right": [c for c in all_known if c not in left]})
            else:
                sets.append({"node": number, "left": left})
    if sets:
        made["categories"] = sets
    return made


def histogram_boosting(estimator):
    known, places = estimator._bin_mapper.make_known_categories_bitsets()
    base = [float(b) for b in np.ravel(estimator._baseline_prediction)]
    trees = [histogram_tree(predictor, group, known, places)
             for stage in estimator._predictors for group, predictor in enumerate(stage)]
    made = {"kind": "value", "base": base, "link": {}, "trees": trees}
    if hasattr(estimator, "classes_"):
        made["kind"] = "probabilities"
        made["link"] = classes_link(len(base))
    elif estimator.loss in ("poisson", "gamma"):
        made["link"] = {"function": "exponential"}
    return made


def isolation_forest(estimator):
    from sklearn.ensemble._iforest import _average_path_length
    trees = []
    for tree, features in zip(estimator.estimators_, estimator.estimators_features_):
        tree = tree.tree_
        lengths = np.ones(tree.node_count)
        for node in range(tree.node_count):  # parents come first
            for child in (tree.children_left[node], tree.children_right[node]):
                if child >= 0:
                    lengths[child] = lengths[node] + 1.0
        depths = lengths + _average_path_length(tree.n_node_samples) - 1.0
        trees.append(binary_tree(tree, depths[:, np.newaxis], features=features))
    divisor = len(trees) * float(_average_path_length([estimator._max_samples])[0])
    return {"kind": "value", "base": [0.0], "link": {"function": "negative_power", "divisor": divisor}, "trees": trees}


MODELS = {"DecisionTree": decision_tree, "ExtraTree": decision_tree, "RandomForest": forest, "ExtraTrees": forest,
          "GradientBoosting": gradient_boosting, "HistGradientBoosting": histogram_boosting,
          "IsolationForest": isolation_forest}


def export(model):
    """The model as what json.dump takes."""
    steps, estimator = [], model
    while kind(estimator) == "Pipeline":
        steps += [step for _, step in estimator.steps[:-1]]
        estimator = estimator.steps[-1][1]
    features = int(steps[0].n_features_in_ if steps else estimator.n_features_in_)
    columns = Columns([(number, []) for number in range(features)])
    for step in steps:
        columns = transform(step, columns)
    name = kind(estimator).removesuffix("Classifier").removesuffix("Regressor")
    if name not in MODELS:
        raise Refused(f"{kind(estimator)} is no model of trees that is known here")
    made = {"format": "tutti-scikit-learn", "version": 1, "model": kind(estimator), "features": features}
    if any(steps for _, steps in columns.columns) or len(columns.columns) != features or any(
            source != number for number, (source, _) in enumerate(columns.columns)):
        made["columns"] = [{"from": source, "steps": steps} for source, steps in columns.columns]
    made.update(MODELS[name](estimator))
    return made


def save(model, path):
    with open(path, "w", encoding="ascii") as file:
        json.dump(export(model), file, allow_nan=False, separators=(",", ":"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    import joblib
    try:
        save(joblib.load(sys.argv[1]), sys.argv[2])
    except Refused as refused:
        sys.exit(f"export_sklearn: {refused}")
