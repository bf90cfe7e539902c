#!/usr/bin/python3
"""Makes all in examples/ that is made: CSV files, models, stacking coefficients, scores, expected answers.

    /usr/bin/python3 examples/train.py      # Debian: python3-sklearn python3-xgboost

    tables.py ──▶ data/*.csv ──▶ members.py ──▶ models/SET/MEMBER.* ──▶ reference.py ──▶ tests/data/expected/

Running it again gives the same bytes: seeds are fixed and everything runs on one thread. (Another CPU or
another release of a library may round differently in the last bit; then the models and the expectations
change together.)
"""

import json
import os
import re
import sys
from pathlib import Path

# Before numpy is loaded: several threads would add up in another order on every run.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.dont_write_bytecode = True

import numpy as np  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402
from sklearn.model_selection import KFold  # noqa: E402

import members  # noqa: E402
import reference  # noqa: E402
import tables  # noqa: E402

HERE = Path(__file__).resolve().parent
EXPECTED = HERE.parent / "tests" / "data" / "expected"

# Which configs score which set's test rows.
CONFIGS = {
    "breast_cancer": ["breast_cancer"],
    "wine": ["wine"],
    "digits": ["digits"],
    "diabetes": ["diabetes", "diabetes_stacking"],
}


def fit_stacking(table: tables.Table, path: Path) -> None:
    """Fits the stacking coefficients of the config at `path` and writes them into it.

    Every member is trained anew on four fifths of the training rows and answers the fifth that it has not
    seen; the coefficients are fitted on those answers.
    """
    features, targets = table.of(table.train)
    names = list(members.of(table))
    answers = np.zeros((len(targets), len(names)))
    for seen, held_out in KFold(5, shuffle=True, random_state=tables.SEED).split(features):
        for column, fit in enumerate(members.of(table).values()):
            answers[held_out, column] = fit(table, features[seen], targets[seen]).predict(features[held_out])
    # The members' answers resemble each other, so least squares alone would play them off against each other.
    model = Ridge(alpha=0.1 * len(targets) * np.var(answers)).fit(answers, targets)

    coefficients = ", ".join(f"{coefficient:.6g}" for coefficient in model.coef_)
    text = path.read_text()
    text = re.sub(r"(?m)^coefficients = .*$", f"coefficients = [[{coefficients}]]", text)
    text = re.sub(r"(?m)^intercept = .*$", f"intercept = [{model.intercept_:.6g}]", text)
    path.write_text(text)


def write_table(scores: dict, path: Path) -> None:
    """Puts the scores into the README at `path`, as a table between its two marks."""
    lines = ["| config | rule | boosted | forest | logistic or linear | network | ensemble |", "| --- " * 7 + "|"]
    for config, entry in scores.items():
        columns = (["boosted"], ["forest"], ["logistic", "linear"], ["network"])
        members_scores = [
            next((f"{entry['members'][name]:.3f}" for name in names if name in entry["members"]), "-")
            for names in columns
        ]
        cells = [f"`{config}.toml`", entry["rule"], *members_scores, f"{entry['ensemble']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    before, rest = re.split(r"(?<=<!-- scores: written by train.py -->\n)", path.read_text())
    path.write_text(before + "\n".join(lines) + "\n" + rest[rest.index("<!-- end of scores -->") :])


def main() -> None:
    scores = {}
    for table in tables.load():
        tables.write_csv(table, np.arange(len(table.targets)), HERE / "data" / f"{table.name}.csv")
        tables.write_csv(table, table.test, HERE / "data" / f"{table.name}_test.csv")

        models, expected = HERE / "models" / table.name, EXPECTED / "models" / table.name
        models.mkdir(parents=True, exist_ok=True)
        expected.mkdir(parents=True, exist_ok=True)
        outputs = {}
        for name, fit in members.of(table).items():
            member = fit(table, *table.of(table.train))
            member.save(models / f"{name}{member.ending}")
            outputs[name] = member.predict(table.features[table.test])
            np.save(expected / f"{name}.npy", outputs[name])

        if table.name == "diabetes":
            fit_stacking(table, HERE / "diabetes_stacking.toml")
        for config in CONFIGS[table.name]:
            targets = table.targets[table.test]
            scores[config] = reference.expect(HERE / f"{config}.toml", outputs, targets, EXPECTED)
    (EXPECTED / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    write_table(scores, HERE / "README.md")


if __name__ == "__main__":
    main()
