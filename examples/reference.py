"""What the example ensembles must answer, computed without tutti: the expectations of its end-to-end tests.

    config.toml + the training libraries' own outputs ──rules in numpy, float64──▶ tests/data/expected/

The rules are written down here a second time, from their textbook definitions, and share no code with
supervisor/combine.cpp. A test that compares labels needs answers that rounding cannot turn: a row whose
winner is closer than MARGIN to the runner-up stops the script (train with another seed then).
"""

import tomllib
from pathlib import Path

import numpy as np

MARGIN = 1e-5  # of probabilities; float32 rounding is a hundred times smaller
GEOMETRIC_FLOOR = 2.0**-126  # the smallest normal float32


def as_classes(output: np.ndarray, outputs: int) -> np.ndarray:
    """A library's output as f64 [rows][outputs]; one number for two classes is the second's probability."""
    output = output.astype(np.float64)
    if outputs == 1:
        return output.reshape(-1, 1)
    return np.column_stack([1 - output, output]) if output.ndim == 1 else output


# ---- the rules: parts f64 [members][rows][outputs], weights f64 [members] → f64 [rows][outputs] ----


def soft_vote(parts, weights, _):
    return np.average(parts, axis=0, weights=weights)


def hard_vote(parts, weights, _):
    one_hot = np.eye(parts.shape[2])[parts.argmax(axis=2)]
    return np.average(one_hot, axis=0, weights=weights)


def geometric_mean(parts, weights, _):
    # The logarithm of 0 would be a veto: what float32 cannot hold counts as the floor (supervisor/combine.hpp).
    pooled = np.exp(np.average(np.log(np.maximum(parts, GEOMETRIC_FLOOR)), axis=0, weights=weights))
    return pooled / pooled.sum(axis=1, keepdims=True)


def median(parts, weights, _):
    assert len(set(weights)) == 1, "the weighted median is not among the examples"
    return np.median(parts, axis=0)


def stacking(parts, _, combine):
    inputs = np.concatenate(list(parts), axis=1)  # [rows][members * outputs]
    return inputs @ np.array(combine["coefficients"]).T + np.array(combine["intercept"])


RULES = {rule.__name__: rule for rule in (soft_vote, hard_vote, geometric_mean, median, stacking)}


# ---- scores ----


def score(answer: np.ndarray, targets: np.ndarray) -> float:
    """Accuracy, or R2 where there is one output. answer f64 [rows][outputs]."""
    if answer.shape[1] > 1:
        return float(np.mean(answer.argmax(axis=1) == targets))
    residual = np.sum((targets - answer[:, 0]) ** 2)
    return float(1 - residual / np.sum((targets - targets.mean()) ** 2))


def check_margin(name: str, answer: np.ndarray) -> None:
    if answer.shape[1] > 1:
        first, second = np.sort(answer, axis=1)[:, :-3:-1].T
        assert np.min(first - second) > MARGIN, f"{name}: a row is too close to a tie: choose another seed"


def expect(config_path: Path, outputs_of: dict[str, np.ndarray], targets: np.ndarray, directory: Path) -> dict:
    """Writes DIRECTORY/<config>.npy, f64 [rows][outputs], and returns the config's entry in scores.json."""
    config = tomllib.loads(config_path.read_text())
    members, combine = config["member"], config["combine"]
    outputs = len(config["ensemble"].get("classes", [])) or 1
    parts = np.stack([as_classes(outputs_of[member["name"]], outputs) for member in members])
    for member, part in zip(members, parts):
        check_margin(f"{config_path.name}: {member['name']}", part)

    weights = np.array([member.get("weight", 1.0) for member in members], np.float64)
    answer = RULES[combine["rule"]](parts, weights, combine)
    check_margin(config_path.name, answer)
    np.save(directory / f"{config_path.stem}.npy", answer)
    return {
        "rule": combine["rule"],
        "metric": "accuracy" if outputs > 1 else "r2",
        "rows": len(targets),
        "members": {member["name"]: round(score(part, targets), 6) for member, part in zip(members, parts)},
        "ensemble": round(score(answer, targets), 6),
    }
