#!/usr/bin/python3
"""Makes the small XGBoost models of this folder and what XGBoost answers with them.

Run with Debian's python3-xgboost 1.7.4 and python3-numpy; writes beside itself. For each NAME: NAME.json, NAME.ubj
and NAME.npy, the float32 answers of Booster.predict() for the rows of rows.npy (categories: rows_category.npy).
The files that end in .xgb341.json, and the models beside them with an input of their own, were trained elsewhere
with the version named, 1.7.4 or 3.4.1, on scikit-learn's data sets.
"""
import os

import numpy as np
import xgboost as xgb

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 130  # more than two batches of 64, and not a multiple of 8
random = np.random.default_rng(20261122)


def save(name, array):
    np.save(os.path.join(HERE, name), np.ascontiguousarray(array, dtype=np.float32))


def train(name, rows, labels, trees=6, answers_for=None, feature_types=None, **params):
    params = {"max_depth": 3, "eta": 0.4, "seed": 7, "nthread": 1, "tree_method": "hist", **params}
    data = xgb.DMatrix(rows, label=labels, feature_types=feature_types,
                       enable_categorical=feature_types is not None)
    if params["objective"].startswith("rank:"):
        data.set_group([10] * (len(rows) // 10))
    if params["objective"] == "survival:aft":
        data.set_float_info("label_lower_bound", labels)
        data.set_float_info("label_upper_bound", labels * 1.5)
    booster = xgb.train(params, data, trees)
    for ending in ("json", "ubj"):
        booster.save_model(os.path.join(HERE, f"{name}.{ending}"))
    asked = rows if answers_for is None else answers_for
    save(name, booster.predict(xgb.DMatrix(asked, feature_types=feature_types,
                                           enable_categorical=feature_types is not None)))


rows = random.normal(size=(ROWS, 6)).astype(np.float32)
rows[:, 2] = np.round(rows[:, 2])               # ties with thresholds, and both zeros
rows[random.random(rows.shape) < 0.15] = np.nan
rows[rows[:, 2] == 0, 2] = -0.0
save("rows", rows)
known = np.nan_to_num(rows)
signal = known[:, 0] + 0.5 * known[:, 1] * known[:, 2] - np.isnan(rows[:, 3])
positive = np.exp(signal / 2)
binary = (signal > 0).astype(int)
classes = np.digitize(signal, [-0.7, 0.6])

for objective in ("squarederror", "pseudohubererror", "absoluteerror"):
    train(f"reg_{objective}", rows, signal * 10 + 3, objective=f"reg:{objective}")
for objective in ("reg:squaredlogerror", "reg:gamma", "reg:tweedie"):
    train(objective.replace(":", "_"), rows, positive, objective=objective, base_score=1.7)
train("count_poisson", rows, np.round(positive), objective="count:poisson")
train("survival_cox", rows, positive, objective="survival:cox")
train("survival_aft", rows, positive, objective="survival:aft")
train("reg_logistic", rows, 1 / (1 + np.exp(-signal)), objective="reg:logistic", base_score=0.3)
for objective in ("logistic", "logitraw", "hinge"):
    train(f"binary_{objective}", rows, binary, objective=f"binary:{objective}",
          base_score=0.63 if objective != "hinge" else 0.5)
for objective in ("softprob", "softmax"):
    train(f"multi_{objective}", rows, classes, objective=f"multi:{objective}", num_class=3, trees=3)
train("rank_pairwise", rows, binary, objective="rank:pairwise")
train("forest", rows, signal, objective="reg:squarederror", num_parallel_tree=4, subsample=0.6, trees=2)
train("dart_softprob", rows, classes, objective="multi:softprob", num_class=3, trees=4, booster="dart",
      rate_drop=0.5)
train("linear_softprob", rows, classes, objective="multi:softprob", num_class=3, booster="gblinear", trees=5)
train("linear_poisson", rows, np.round(positive), objective="count:poisson", booster="gblinear", trees=5)
train("no_trees", rows, signal, objective="reg:squarederror", trees=0, base_score=0.1)

# Categories: as sets (partition) and one against the rest; asked also for what no training row held.
category_rows = np.column_stack([random.integers(0, 12, ROWS), random.integers(0, 4, ROWS),
                                 random.normal(size=ROWS)]).astype(np.float32)
category_labels = (category_rows[:, 0] % 3 == 0) * 2.0 + category_rows[:, 1] + 0.1 * category_rows[:, 2]
asked = category_rows.copy()
asked[random.random(asked.shape) < 0.1] = np.nan
asked[:12, 0] = [2.7, 3.999, 40, 11, 12, 31, 32, 33, 16777215, 16777216, 1e9, 0]
save("rows_category", asked)
for name, onehot in (("category_sets", 1), ("category_onehot", 100)):
    train(name, category_rows, category_labels, answers_for=asked, feature_types=["c", "c", "q"],
          objective="reg:squarederror", max_cat_to_onehot=onehot)
