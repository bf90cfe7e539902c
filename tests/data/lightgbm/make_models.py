#!/usr/bin/python3
"""Makes small LightGBM models that reach what the trained ones beside them do not, and their answers.

Run with Debian's python3-numpy; writes beside itself. The trees are random; what they answer is computed here from
the trees as they were before they were written, number by number, by the rules of LightGBM's documentation and
prediction code, in Python's floats (C doubles). Nothing here was read by tutti.

NAME.txt    a model; its objective is a regression, a test puts others in its place
NAME.npy    float64 answers to rows.npy: see ONE and THREE for the columns
rows.npy    float32

The lgb_*.txt were trained with LightGBM 4.6; their _expected arrays are Booster.predict()'s own.
"""
import math
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = float(np.float32(1e-35))
FEATURES = 5  # the last one holds categories
ROWS = 250
random = np.random.default_rng(20261123)

SPECIAL = [0.0, -0.0, 1e-35, -1e-35, 1.0000001e-35, -1.0000001e-35, 1e-36, -1e-36, 1e-40, math.nan, math.inf, -math.inf]
THRESHOLDS = [0.0, -0.0, TINY, -TINY, 1e-36, -1e-36, np.nextafter(TINY, 1), np.nextafter(-TINY, -1), 1e300, -1e300, 0.1,
              -0.25, 0.5]
MISSING = {"none": 0, "zero": 1, "nan": 2}


def draw_threshold():
    kind = random.integers(3)
    if kind == 0:
        return float(random.choice(THRESHOLDS))
    number = float(random.normal())
    return number if kind == 1 else float(np.float32(number))  # rows are made that hit the second kind exactly


def draw_tree(missing, categories, linear, depth=5):
    if depth == 0 or random.integers(9) == 0:
        leaf = {"value": float(random.normal()) * 0.3}
        if linear:
            chosen = random.choice(FEATURES, size=random.integers(0, 4), replace=False)
            leaf["constant"] = float(random.normal())
            leaf["terms"] = [(int(feature), float(random.normal())) for feature in chosen]
        return leaf
    node = {"missing": MISSING[missing] if missing in MISSING else int(random.integers(3)),
            "default_left": bool(random.integers(2))}
    if categories and random.integers(2):
        node["feature"] = FEATURES - 1
        node["set"] = sorted(int(c) for c in random.choice(70, size=random.integers(1, 20), replace=False))
    else:
        node["feature"] = int(random.integers(FEATURES - (1 if categories else 0)))
        node["threshold"] = draw_threshold()
    node["left"] = draw_tree(missing, categories, linear, depth - 1)
    node["right"] = draw_tree(missing, categories, linear, depth - 1)
    return node


def drop(x):
    """The C API's rows leave out what is tiny; it is 0 then."""
    return x if abs(x) > TINY or math.isnan(x) else 0.0


def goes_left(node, x):
    if "set" in node:
        if math.isnan(x) or abs(x) >= 2147483648.0 or int(x) < 0:
            return False
        return int(x) in node["set"]
    if math.isnan(x) and node["missing"] != MISSING["nan"]:
        x = 0.0
    if node["missing"] == MISSING["zero"] and -TINY <= x <= TINY:
        return node["default_left"]
    if node["missing"] == MISSING["nan"] and math.isnan(x):
        return node["default_left"]
    return x <= node["threshold"]


def answer(tree, row):
    node = tree
    while "value" not in node:
        node = node["left"] if goes_left(node, row[node["feature"]]) else node["right"]
    if "constant" not in node:
        return node["value"]
    total = node["constant"]
    for feature, coefficient in node["terms"]:
        if math.isnan(row[feature]):
            return node["value"]
        total += coefficient * row[feature]
    return total


def sums(trees, groups, row):
    totals = [0.0] * groups
    for index, tree in enumerate(trees):
        totals[index % groups] += answer(tree, row)
    return totals


def exp(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def logistic(x, scale=1.0):
    return 1.0 / (1.0 + exp(-scale * x))


def softmax(xs):
    terms = [exp(x - max(xs)) for x in xs]
    total = 0.0
    for term in terms:
        total += term
    return [term / total for term in terms]


ONE = [lambda x: x,                                     # regression and its kin, ranking, custom
       lambda x: (x > 0) * x * x - (x < 0) * x * x,      # regression sqrt
       exp,                                              # poisson, gamma, tweedie
       lambda x: logistic(x, 0.7),                       # binary sigmoid:0.7
       logistic,                                         # cross_entropy
       lambda x: math.log(1.0 + exp(x))]                 # cross_entropy_lambda
THREE = [lambda xs: xs,                                  # custom
         softmax,                                        # multiclass
         lambda xs: [logistic(x, 1.5) for x in xs]]      # multiclassova sigmoid:1.5


def flatten(tree):
    """Numbers inner nodes and leaves as LightGBM does: each from 0 on; ~leaf stands for a leaf."""
    inner, leaves = [], []

    def visit(node):
        if "value" in node:
            leaves.append(node)
            return ~(len(leaves) - 1)
        number = len(inner)
        inner.append([node, None, None])
        inner[number][1] = visit(node["left"])
        inner[number][2] = visit(node["right"])
        return number

    visit(tree)
    return inner, leaves


def number(x):
    return f"{x:.17g}"


def bits_of(categories):
    words = [0] * (max(categories) // 32 + 1)
    for category in categories:
        words[category // 32] |= 1 << category % 32
    return words


def tree_text(index, tree, linear):
    inner, leaves = flatten(tree)
    boundaries, words, thresholds, types = [0], [], [], []
    for node, _, _ in inner:
        kind = (2 if node["default_left"] else 0) | node["missing"] << 2
        if "set" in node:
            kind |= 1
            thresholds.append(str(len(boundaries) - 1))
            words += bits_of(node["set"])
            boundaries.append(len(words))
        else:
            thresholds.append(number(node["threshold"]))
        types.append(str(kind))
    lines = [f"Tree={index}", f"num_leaves={len(leaves)}", f"num_cat={len(boundaries) - 1}",
             "split_feature=" + " ".join(str(node["feature"]) for node, _, _ in inner),
             "split_gain=" + " ".join("1" for _ in inner),
             "threshold=" + " ".join(thresholds),
             "decision_type=" + " ".join(types),
             "left_child=" + " ".join(str(left) for _, left, _ in inner),
             "right_child=" + " ".join(str(right) for _, _, right in inner),
             "leaf_value=" + " ".join(number(leaf["value"]) for leaf in leaves)]
    if len(boundaries) > 1:
        lines += ["cat_boundaries=" + " ".join(map(str, boundaries)), "cat_threshold=" + " ".join(map(str, words))]
    lines.append(f"is_linear={int(linear)}")
    if linear:
        lines += ["leaf_const=" + " ".join(number(leaf["constant"]) for leaf in leaves),
                  "num_features=" + " ".join(str(len(leaf["terms"])) for leaf in leaves),
                  "leaf_features=" + "".join("".join(f"{f} " for f, _ in leaf["terms"]) + " " for leaf in leaves),
                  "leaf_coeff=" + "".join("".join(f"{number(c)} " for _, c in leaf["terms"]) + " " for leaf in leaves)]
    return "\n".join([*lines, "shrinkage=0.1", "", ""])


def write(name, missing, groups=1, categories=False, linear=False, trees=12):
    model = [draw_tree(missing, categories, linear) for _ in range(trees)]
    texts = [tree_text(index, tree, linear) for index, tree in enumerate(model)]
    header = ["tree", "version=v4", f"num_class={groups}", f"num_tree_per_iteration={groups}", "label_index=0",
              f"max_feature_idx={FEATURES - 1}", "objective=regression",
              "feature_names=" + " ".join(f"Column_{i}" for i in range(FEATURES)),
              "feature_infos=" + " ".join(["none"] * FEATURES),
              "tree_sizes=" + " ".join(str(len(text)) for text in texts), "", ""]
    with open(os.path.join(HERE, f"{name}.txt"), "w") as file:
        file.write("\n".join(header) + "\n".join(texts) + "\nend of trees\n\nfeature_importances:\n\nparameters:\n"
                   "end of parameters\n\npandas_categorical:null\n")
    table = []
    for row in rows:
        totals = sums(model, groups, [drop(float(x)) for x in row])
        if groups == 1:
            table.append([function(totals[0]) for function in ONE])
        else:
            table.append([x for function in THREE for x in function(totals)])
    np.save(os.path.join(HERE, f"{name}.npy"), np.array(table, dtype=np.float64))


drawn = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
for cell in np.ndindex(drawn.shape):
    kind = random.integers(8)
    if kind < 3:
        drawn[cell] = np.float32(random.choice(SPECIAL))
    elif kind == 3:
        drawn[cell] = np.float32(random.choice(THRESHOLDS[:8] + THRESHOLDS[10:]))
drawn[:, FEATURES - 1] = [np.float32(random.choice([-1.0, -0.5, 0.5, 69.9, 70.0, 3e9, 1e-36, math.nan, math.inf])
                                     if random.integers(4) == 0 else random.integers(75)) for _ in range(ROWS)]
# Linear leaves multiply; an infinity there would hide every other number.
rows = drawn
np.save(os.path.join(HERE, "rows.npy"), rows)

for missing in MISSING:
    write(f"one_{missing}", missing)
    write(f"three_{missing}", missing, groups=3)
write("mixed", "mixed", trees=20)
write("categories", "mixed", categories=True)
rows = np.where(np.isinf(rows), np.float32(2.5), rows)
np.save(os.path.join(HERE, "rows_linear.npy"), rows)
write("linear", "nan", linear=True)
write("linear_zero", "zero", linear=True, categories=True)
