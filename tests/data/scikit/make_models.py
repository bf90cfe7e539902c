#!/usr/bin/python3
"""Makes small scikit-learn models and what scikit-learn answers with them.

Run with Debian 12's python3-sklearn (1.2.1); writes beside itself. For each NAME: NAME.json, written by
examples/export_sklearn.py, and NAME.npy, the float64 answers of predict_proba(), predict() or score_samples() to the
float32 rows of the file that ROWS names.
"""
import os
import sys

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier,
                              GradientBoostingRegressor, HistGradientBoostingClassifier, HistGradientBoostingRegressor,
                              IsolationForest, RandomForestClassifier, RandomForestRegressor)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "examples"))
from export_sklearn import save  # noqa: E402

random = np.random.default_rng(20261123)
COUNT = 150
rows = random.normal(size=(COUNT, 6)).astype(np.float32)
rows[:, 4] *= 1000.0
rows[:, 5] = random.integers(0, 5, size=COUNT)
missing = rows.copy()
missing[random.random(missing.shape) < 0.15] = np.nan
missing[:, 5] = np.where(np.isnan(missing[:, 5]), 4.0, missing[:, 5])
target = rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2]) + rows[:, 4] / 1000 + (rows[:, 5] == 2)
two = (target > np.median(target)).astype(int)
three = np.digitize(target, np.quantile(target, [0.3, 0.7]))
for name, table in (("rows", rows), ("rows_missing", missing)):
    np.save(os.path.join(HERE, f"{name}.npy"), table)
# Answers are asked for numbers that training never saw, too.
unseen = missing.copy()
unseen[::7, 5] = 9.0
unseen[::11, 5] = -1.0
np.save(os.path.join(HERE, "rows_unseen.npy"), unseen)


def make(name, model, labels, table=rows, asked=None):
    model.fit(table, labels)
    save(model, os.path.join(HERE, f"{name}.json"))
    asked = table if asked is None else asked
    answers = (model.predict_proba(asked) if hasattr(model, "predict_proba") else
               model.score_samples(asked) if hasattr(model, "score_samples") else model.predict(asked))
    np.save(os.path.join(HERE, f"{name}.npy"), np.ascontiguousarray(answers, dtype=np.float64))


few = {"n_estimators": 9, "max_depth": 4, "random_state": 1}
make("tree_classifier", DecisionTreeClassifier(max_depth=4, random_state=1), three)
make("tree_regressor", DecisionTreeRegressor(max_depth=5, random_state=1), target)
make("forest_classifier", RandomForestClassifier(**few), two)
make("forest_classes", RandomForestClassifier(**few, class_weight="balanced"), three)
make("forest_regressor", RandomForestRegressor(n_estimators=9, random_state=1), target)
make("forest_targets", RandomForestRegressor(**few), np.stack([target, -target * 0.3], axis=1))
make("extra_classifier", ExtraTreesClassifier(**few), three)
make("extra_regressor", ExtraTreesRegressor(**few), target)
make("boosting_regressor", GradientBoostingRegressor(n_estimators=20, random_state=1), target)
make("boosting_classifier", GradientBoostingClassifier(n_estimators=20, random_state=1), two)
make("boosting_exponential", GradientBoostingClassifier(n_estimators=20, loss="exponential", random_state=1), two)
make("boosting_classes", GradientBoostingClassifier(n_estimators=10, random_state=1), three)
make("boosting_zero", GradientBoostingRegressor(n_estimators=10, init="zero", loss="huber", random_state=1), target)
little = {"max_iter": 8, "min_samples_leaf": 5, "random_state": 1}
make("histogram_regressor", HistGradientBoostingRegressor(**little), target, missing)
make("histogram_poisson", HistGradientBoostingRegressor(loss="poisson", **little), np.exp(target / 3), missing)
make("histogram_classifier", HistGradientBoostingClassifier(**little), two, missing)
make("histogram_classes", HistGradientBoostingClassifier(**little), three, missing)
make("histogram_categories", HistGradientBoostingRegressor(categorical_features=[5], **little), target, missing, unseen)
make("isolation", IsolationForest(n_estimators=9, max_features=0.5, random_state=1), None)
make("scaled_forest", make_pipeline(StandardScaler(), RandomForestRegressor(**few)), target)
make("min_max_boosting", make_pipeline(SimpleImputer(), MinMaxScaler(clip=True),
                                       GradientBoostingRegressor(n_estimators=20, random_state=1)), target, missing)
make("imputed_scaled", make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), RandomForestClassifier(**few)),
     three, missing)
make("scaled_histogram", make_pipeline(StandardScaler(), HistGradientBoostingClassifier(**little)), two, missing)
encoder = ColumnTransformer([("number", make_pipeline(SimpleImputer(), StandardScaler()), [4, 0, 1]),
                             ("category", OneHotEncoder(handle_unknown="ignore"), [5])], remainder="drop")
make("one_hot", make_pipeline(encoder, ExtraTreesClassifier(**few)), three, missing, unseen)
make("one_hot_all", make_pipeline(OneHotEncoder(drop="first"), RandomForestRegressor(**few)), target, np.round(rows[:, :2]))
np.save(os.path.join(HERE, "rows_rounded.npy"), np.round(rows[:, :2]))
