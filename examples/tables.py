"""The four data sets of the examples, as CSV files that carry every digit.

    scikit-learn's copy ──float32──▶ rows ──split, fixed seed──▶ train 60 %, test 40 %
                                       └▶ data/NAME.csv                    └▶ data/NAME_test.csv

tutti reads rows as float32, so the rows are rounded to float32 before anybody sees them: the models are
trained on, and asked about, exactly the numbers that stand in the CSV. A number is written as the shortest
text that reads back to that float32. The last column, `target`, holds the class's name or the number.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

SEED = 20
TEST_SHARE = 0.4

# The cultivars behind UCI's classes 1, 2 and 3.
WINES = ["barolo", "grignolino", "barbera"]


@dataclass
class Table:
    """One data set: features f32 [rows][columns], targets int64 (class index) or f64 [rows]."""

    name: str
    features: np.ndarray
    targets: np.ndarray
    columns: list[str]
    classes: list[str]  # empty: regression
    train: np.ndarray  # row numbers
    test: np.ndarray

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.features[rows], self.targets[rows]


def _table(name: str, bunch, classes: list[str]) -> Table:
    targets = bunch.target.astype(np.int64 if classes else np.float64)
    train, test = train_test_split(
        np.arange(len(targets)),
        test_size=TEST_SHARE,
        random_state=SEED,
        stratify=targets if classes else None,
    )
    columns = [re.sub(r"[^a-z0-9]+", "_", column.lower()) for column in bunch.feature_names]
    return Table(name, bunch.data.astype(np.float32), targets, columns, classes, np.sort(train), np.sort(test))


def load() -> list[Table]:
    return [
        _table("breast_cancer", datasets.load_breast_cancer(), ["malignant", "benign"]),
        _table("wine", datasets.load_wine(), WINES),
        _table("digits", datasets.load_digits(), [f"digit_{digit}" for digit in range(10)]),
        # scaled=False: the measured values (years, mmHg, …) rather than their standardised form.
        _table("diabetes", datasets.load_diabetes(scaled=False), []),
    ]


def text_of(value: np.floating) -> str:
    """The shortest text that reads back to the same number, in the number's own width."""
    short = np.format_float_positional(value, unique=True, trim="-")
    assert type(value)(short) == value
    return short


def write_csv(table: Table, rows: np.ndarray, path: Path) -> None:
    features, targets = table.of(rows)
    lines = [",".join([*table.columns, "target"])]
    for row, target in zip(features, targets):
        last = table.classes[target] if table.classes else text_of(target)
        lines.append(",".join([*(text_of(value) for value in row), last]))
    path.write_text("\n".join(lines) + "\n")
