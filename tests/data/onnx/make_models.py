#!/usr/bin/env python3
"""Writes ONNX files byte by byte, and what they answer by the operators' published definitions.

    python3 make_models.py              writes NAME.onnx and NAME.npy beside itself, rows.npy and finite_rows.npy

Needs numpy and no ONNX package: the files are protobuf written by hand from the format's field numbers, and the
answers come from an evaluator of its own that walks trees as ONNX describes them, comparison by comparison, in
float32. It shares nothing with the C++ code: no folding of comparisons, no layouts, no ranks.

The sums are exact tests of order: leaves are floats of many magnitudes, added in float32 in the order of the
file. Where exp or log is involved (LOGISTIC, SOFTMAX, PROBIT) the last bits are the mathematical library's, and
the tests allow for a few of them.
"""

import itertools
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
F = np.float32
FEATURES = 5
ROWS = 211
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"]
AGGREGATES = ["AVERAGE", "SUM", "MIN", "MAX"]  # in the order of their numbers in version 5
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


# ---- protobuf ----

def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    """A varint for a whole number, else a length and bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, str):
        content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def float_field(number, value):
    return varint(number << 3 | 5) + struct.pack("<f", value)


FLOAT, UINT8, INT64, DOUBLE = 1, 2, 7, 11
NUMPY_TYPES = {FLOAT: "<f4", UINT8: "u1", INT64: "<i8", DOUBLE: "<f8"}


def tensor(name, values, kind=FLOAT, raw=True):
    values = np.asarray(values, NUMPY_TYPES[kind])
    message = b"".join(field(1, int(size)) for size in values.shape) + field(2, kind)
    if raw:
        message += field(9, values.tobytes())
    elif kind == FLOAT:
        message += field(4, values.tobytes())
    elif kind == DOUBLE:
        message += field(10, values.tobytes())
    else:  # int64_data, or int32_data for bytes
        message += field(7 if kind == INT64 else 5, b"".join(varint(int(value)) for value in values.ravel()))
    return message + field(8, name)


def attribute(name, value, packed=False):
    """By the type of the value: int, float, str, list of one of them, or a tensor's bytes."""
    message = field(1, name)
    if isinstance(value, bytes):
        return message + field(5, value) + field(20, 4)
    if isinstance(value, int):
        return message + field(3, value) + field(20, 2)
    if isinstance(value, (float, F)):
        return message + float_field(2, value) + field(20, 1)
    if isinstance(value, str):
        return message + field(4, value) + field(20, 3)
    values = list(value)
    if values and isinstance(values[0], str):
        return message + b"".join(field(9, text) for text in values) + field(20, 8)
    if values and isinstance(values[0], (float, F)):
        if packed:
            return message + field(7, struct.pack(f"<{len(values)}f", *values)) + field(20, 6)
        return message + b"".join(float_field(7, number) for number in values) + field(20, 6)
    if packed:
        return message + field(8, b"".join(varint(int(number)) for number in values)) + field(20, 7)
    return message + b"".join(field(8, int(number)) for number in values) + field(20, 7)


def node(op, inputs, outputs, attributes=None, domain="", packed=False):
    message = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
    message += field(3, f"the {op}") + field(4, op)
    for name, value in (attributes or {}).items():
        message += field(5, attribute(name, value, packed))
    return message + (field(7, domain) if domain else b"")


def value_info(name, width, kind=FLOAT):
    rows = field(1, field(2, "N"))
    shape = rows + field(1, field(1, width) if width else b"")
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def model(nodes, inputs, outputs, constants=(), ml=3):
    graph = b"".join(field(1, one) for one in nodes) + field(2, "graph")
    graph += b"".join(field(5, one) for one in constants)
    graph += b"".join(field(11, one) for one in inputs) + b"".join(field(12, one) for one in outputs)
    return (field(1, 8) + field(2, "tutti tests") + field(7, graph) + field(8, field(1, "ai.onnx.ml") + field(2, ml))
            + field(8, field(1, "") + field(2, 17)))


# ---- trees, as ONNX describes them ----

class Maker:
    """Random trees: nested tuples, ("leaf", {target: weight}) or (mode, feature, value, missing, true, false)."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def weight(self):
        return F(self.random.standard_normal() * 2.0 ** self.random.integers(-6, 6))

    def threshold(self):
        # Few different ones, so that rows meet them exactly; zeros, a denormal, and both infinities among them.
        special = [0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf]
        if self.random.integers(10) == 0:
            return F(special[self.random.integers(len(special))])
        return F(self.random.integers(-6, 7)) * F(0.37)

    def leaf(self, targets, many, positive):
        count = self.random.integers(0, targets + 1) if many else 1
        chosen = self.random.choice(targets, count, replace=False)
        return ("leaf", {int(target): abs(self.weight()) if positive else self.weight() for target in sorted(chosen)})

    def tree(self, modes, depth, targets=1, many=False, positive=False, missing=True):
        if depth == 0 or self.random.integers(6) == 0:
            return self.leaf(targets, many, positive)
        mode = modes[self.random.integers(len(modes))]
        value = self.threshold()
        if mode == "BRANCH_MEMBER":
            value = sorted({F(self.threshold() + F(0)) for _ in range(self.random.integers(1, 9))})
        return (mode, int(self.random.integers(FEATURES)), value, bool(missing and self.random.integers(2)),
                self.tree(modes, depth - 1, targets, many, positive, missing),
                self.tree(modes, depth - 1, targets, many, positive, missing))

    def trees(self, count, *rest, **named):
        return [self.tree(*rest, **named) for _ in range(count)]

    def rows(self):
        x = (self.random.integers(-6, 7, (ROWS, FEATURES)).astype(F) * F(0.37)).astype(F)
        pick = self.random.integers(0, 12, x.shape)
        for code, value in enumerate([np.nan, np.inf, -np.inf, -0.0, 1e-45]):
            x[pick == code] = F(value)
        x[pick == 5] += F(0.01)
        return x


COMPARE = {
    "BRANCH_LEQ": lambda x, v: x <= v, "BRANCH_LT": lambda x, v: x < v, "BRANCH_GTE": lambda x, v: x >= v,
    "BRANCH_GT": lambda x, v: x > v, "BRANCH_EQ": lambda x, v: x == v, "BRANCH_NEQ": lambda x, v: x != v,
    "BRANCH_MEMBER": lambda x, v: any(x == member for member in v),
}


def leaf_of(tree, row):
    while tree[0] != "leaf":
        mode, feature, value, missing, if_true, if_false = tree
        x = row[feature]
        tree = if_true if (missing if np.isnan(x) else COMPARE[mode](x, value)) else if_false
    return tree[1]


def aggregate(trees, x, targets, how, base):
    """Leaves in the order of the trees, in float32; then the average; then the base values."""
    result = np.zeros((len(x), targets), F)
    for index, row in enumerate(x):
        seen = [None] * targets
        for tree in trees:
            for target, weight in leaf_of(tree, row).items():
                old = seen[target]
                if how in ("SUM", "AVERAGE"):
                    seen[target] = F(F(0) if old is None else old) + weight
                else:
                    seen[target] = weight if old is None else (min if how == "MIN" else max)(old, weight)
        for target in range(targets):
            score = F(0) if seen[target] is None else seen[target]
            if how == "AVERAGE":
                score = score / F(len(trees))
            result[index, target] = score + base[target] if base else score
    return result


def logistic(x):
    upper = F(1) / (F(1) + np.exp(-np.abs(x)))
    return np.where(x < 0, F(1) - upper, upper)


def softmax(x):
    power = np.exp(x - x.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def softmax_zero(x):
    out = np.empty_like(x)
    for index, row in enumerate(x):
        largest = row.max()
        counts = np.abs(row) > F(1e-7)
        powers = np.where(counts, np.exp(row - largest), row * np.exp(-largest)).astype(F)
        total = powers[counts].sum()
        out[index] = powers / total if total else powers
    return out


def probit(p):
    """1.41421356 times the inverse error function by Winitzki's formula with 0.147."""
    x = F(2) * p - F(1)
    product = (F(1) - x) * (F(1) + x)
    with np.errstate(all="ignore"):
        log = np.log(product)
        half = F(2.0 / (np.pi * 0.147)) + F(0.5) * log
        root = np.sqrt(-half + np.sqrt(half * half - F(1.0 / 0.147) * log))
    return F(1.41421356) * np.where(product == 0, F(0), np.where(x < 0, -root, root))


TRANSFORM = {"NONE": lambda x: x, "SOFTMAX": softmax, "LOGISTIC": logistic, "SOFTMAX_ZERO": softmax_zero,
             "PROBIT": probit}


# ---- the operators' lists ----

def named(trees, weights, targets_field):
    """The lists of versions 1 to 4: nodes named by tree and node. Numbers start anywhere and are shuffled."""
    lists = {name: [] for name in ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids",
                                   "falsenodeids", "missing_value_tracks_true", "hitrates"]}
    entries = []
    for index, tree in enumerate(trees):
        tree_id = 3 * index + 1
        numbers = itertools.count(2)

        def add(at, tree, tree_id=tree_id, numbers=numbers):
            leaf = tree[0] == "leaf"
            children = (0, 0) if leaf else (next(numbers) * 7 % 1009 + 10_000, next(numbers) * 7 % 1009 + 10_000)
            row = (tree_id, at, 0 if leaf else tree[1], F(0) if leaf else tree[2], "LEAF" if leaf else tree[0],
                   children[0], children[1], int(not leaf and tree[3]), F(1))
            for values, value in zip(lists.values(), row):
                values.append(value)
            if leaf:
                entries.extend((tree_id, at, target, weight) for target, weight in tree[1].items())
            else:
                add(children[1], tree[5])
                add(children[0], tree[4])

        add(0, tree)
    attributes = {f"nodes_{name}": values for name, values in lists.items()}
    for position, name in enumerate(["treeids", "nodeids", "ids", "weights"]):
        attributes[f"{targets_field}_{name}"] = [entry[position] for entry in entries]
    return attributes


def numbered(trees, double=False):
    """The lists of version 5: branches and leaves numbered by their place. One target in each leaf."""
    branches, leaves, members, roots = [], [], [], []

    def add(tree):
        if tree[0] == "leaf":
            (target, weight), = tree[1].items()
            leaves.append((target, weight))
            return len(leaves) - 1, 1
        at = len(branches)
        branches.append(None)
        if_true, if_false = add(tree[4]), add(tree[5])
        branches[at] = (tree, if_true, if_false)
        return at, 0

    for tree in trees:
        roots.append(len(branches))
        if tree[0] == "leaf":
            leaf, _ = add(tree)
            branches.append((("BRANCH_LEQ", 0, F(0), False), (leaf, 1), (leaf, 1)))
        else:
            add(tree)
    for tree, _, _ in branches:
        if tree[0] == "BRANCH_MEMBER":
            members.extend([*tree[2], np.nan])
    kind = DOUBLE if double else FLOAT
    attributes = {
        "nodes_featureids": [tree[1] for tree, _, _ in branches],
        "nodes_modes": tensor("", [MODES.index(tree[0]) for tree, _, _ in branches], UINT8),
        "nodes_splits": tensor("", [0 if isinstance(tree[2], list) else tree[2] for tree, _, _ in branches], kind),
        "nodes_missing_value_tracks_true": [int(tree[3]) for tree, _, _ in branches],
        "nodes_truenodeids": [child[0] for _, child, _ in branches],
        "nodes_trueleafs": [child[1] for _, child, _ in branches],
        "nodes_falsenodeids": [child[0] for _, _, child in branches],
        "nodes_falseleafs": [child[1] for _, _, child in branches],
        "leaf_targetids": [target for target, _ in leaves],
        "leaf_weights": tensor("", [weight for _, weight in leaves], kind),
        "tree_roots": roots,
    }
    if members:
        attributes["membership_values"] = tensor("", members, kind)
    return attributes


# ---- the files ----

def save(name, nodes, width, answer, constants=(), ml=3, outputs=("Y",), input_width=FEATURES, kind=FLOAT):
    file = model(nodes, [value_info("X", input_width, kind)], [value_info(one, width) for one in outputs], constants, ml)
    (HERE / f"{name}.onnx").write_bytes(file)
    np.save(HERE / f"{name}.npy", np.ascontiguousarray(answer, F))


def regressor(name, trees, x, targets=1, how="SUM", transform="NONE", base=None, packed=False):
    attributes = named(trees, None, "target") | {"n_targets": targets, "aggregate_function": how,
                                                 "post_transform": transform}
    if base:
        attributes["base_values"] = base
    answer = TRANSFORM[transform](aggregate(trees, x, targets, how, base))
    save(name, [node("TreeEnsembleRegressor", ["X"], ["Y"], attributes, "ai.onnx.ml", packed)], targets, answer)


def version_5(name, trees, x, targets=1, how="SUM", transform="NONE", double=False):
    attributes = numbered(trees, double) | {"n_targets": targets, "aggregate_function": AGGREGATES.index(how),
                                            "post_transform": TRANSFORMS.index(transform)}
    answer = TRANSFORM[transform](aggregate(trees, x, targets, how, None))
    save(name, [node("TreeEnsemble", ["X"], ["Y"], attributes, "ai.onnx.ml")], targets, answer, ml=5)


def classifier(name, trees, x, labels, transform, base=None, column=None, prepare=None):
    """`column`: the one class id of all weights. The answer is [1 - s, s], or the transform of [-s, s]."""
    attributes = named(trees, None, "class") | {"post_transform": transform}
    if column is not None:
        attributes["class_ids"] = [column] * len(attributes["class_ids"])
    if isinstance(labels[0], str):
        attributes["classlabels_strings"] = labels
    else:
        attributes["classlabels_int64s"] = labels
    if base:
        attributes["base_values"] = base
    nodes, constants, prepared = prepare(x) if prepare else ([], [], x)
    scores = aggregate(trees, prepared, 1 if column is not None else len(labels), "SUM", base)
    if column is None:
        answer = TRANSFORM[transform](scores)
    elif transform == "NONE":
        answer = np.concatenate([F(1) - scores, scores], axis=1)
    else:
        answer = TRANSFORM[transform](np.concatenate([-scores, scores], axis=1))
    if column is not None:
        answer = answer[:, 1:]  # what a model of one probability answers
    nodes = nodes + [node("TreeEnsembleClassifier", ["P" if prepare else "X"], ["label", "scores"], attributes,
                          "ai.onnx.ml"),
                     node("Cast", ["label"], ["label_out"], {"to": 7}),
                     node("ZipMap", ["scores"], ["Y"], {"classlabels_int64s": [0, 1]}, "ai.onnx.ml")]
    save(name, nodes, len(labels), answer, constants, outputs=("label_out", "Y"))


def prepare_all(x):
    """Imputer, Scaler, Sub, Div, Cast and Identity before the trees."""
    fill = [0.25, -1.0, 0.5, 0.0, 2.0]
    offset, scale = [F(v) for v in (0.1, -0.2, 0.3, 0.0, 0.5)], [F(v) for v in (1.5, 0.7, 1.0, 2.0, 0.9)]
    shift, width = np.asarray([0.01, 0.02, 0.03, 0.04, 0.05], F), np.asarray([[1.1, 1.2, 0.9, 0.8, 1.3]], F)
    nodes = [node("Imputer", ["X"], ["A"], {"imputed_value_floats": fill, "replaced_value_float": float("nan")},
                  "ai.onnx.ml"),
             node("Scaler", ["A"], ["B"], {"offset": offset, "scale": scale}, "ai.onnx.ml"),
             node("Cast", ["B"], ["C"], {"to": 1}), node("Sub", ["C", "shift"], ["D"]),
             node("Constant", [], ["width"], {"value": tensor("", width)}),
             node("Div", ["D", "width"], ["E"]), node("Identity", ["E"], ["P"])]
    out = np.where(np.isnan(x), np.asarray(fill, F), x)
    out = (out - np.asarray(offset, F)) * np.asarray(scale, F)
    return nodes, [tensor("shift", shift, raw=False)], (out - shift) / width


def dense(x):
    """Networks, in float64 from the float32 weights: what float32 rounds is within a tolerance."""
    maker = np.random.default_rng(5)
    wide = np.nan_to_num(x, nan=0.0).astype(np.float64)
    a, b = maker.standard_normal((FEATURES, 9)).astype(F), maker.standard_normal((4, 9)).astype(F)
    bias, last = maker.standard_normal(9).astype(F), maker.standard_normal(4).astype(F)
    steps = {"Relu": lambda v: np.maximum(v, 0), "Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh,
             "LeakyRelu": lambda v: np.where(v < 0, 0.2 * v, v),
             "Elu": lambda v: np.where(v < 0, 0.7 * (np.exp(v) - 1), v)}
    alphas = {"LeakyRelu": 0.2, "Elu": 0.7}
    fill = node("Imputer", ["X"], ["I"], {"imputed_value_floats": [0.0], "replaced_value_float": float("nan")},
                "ai.onnx.ml")
    for op, function in steps.items():
        hidden = function(wide @ a + bias)
        answer = softmax(hidden @ b.T.astype(np.float64) + last)
        nodes = [fill, node("Flatten", ["I"], ["f"]), node("MatMul", ["f", "a"], ["m"]), node("Add", ["bias", "m"], ["s"]),
                 node(op, ["s"], ["h"], {"alpha": alphas[op]} if op in alphas else {}),
                 node("Reshape", ["h", "shape"], ["r"]),
                 node("Gemm", ["r", "b", "last"], ["g"], {"transB": 1, "alpha": 1.0}), node("Softmax", ["g"], ["Y"])]
        constants = [tensor("a", a), tensor("b", b, raw=False), tensor("bias", bias), tensor("last", last[None, :]),
                     tensor("shape", [-1, 9], INT64, raw=False)]
        save(f"dense_{op.lower()}", nodes, 4, answer, constants)
    linear, intercept = a[:, 0], bias[:1]
    value = wide @ linear + intercept
    save("linear_regressor", [fill, node("LinearRegressor", ["I"], ["Y"], {
        "coefficients": list(linear), "intercepts": list(intercept)}, "ai.onnx.ml")], 1, value[:, None])
    save("linear_classifier", [fill, node("LinearClassifier", ["I"], ["label", "s"], {
        "coefficients": list(a[:, :3].T.ravel()), "intercepts": list(bias[:3]), "classlabels_ints": [0, 1, 2],
        "post_transform": "LOGISTIC"}, "ai.onnx.ml"), node("Normalizer", ["s"], ["Y"], {"norm": "L1"}, "ai.onnx.ml")],
         3, (lambda p: p / p.sum(axis=1, keepdims=True))(steps["Sigmoid"](wide @ a[:, :3] + bias[:3])),
         outputs=("label", "Y"))
    double = a[:, :3].astype(np.float64) + 1e-12
    save("dense_double", [fill, node("Gemm", ["I", "w"], ["g"]), node("Softmax", ["g"], ["Y"])], 3,
         softmax(wide @ double), [tensor("w", double, DOUBLE)], kind=DOUBLE)


def main():
    maker = Maker(20261123)
    x = maker.rows()
    np.save(HERE / "rows.npy", x)
    for mode in MODES[:-1]:
        regressor(f"mode_{mode[7:].lower()}", maker.trees(20, [mode], 4), x)
    regressor("mode_mixed", maker.trees(60, MODES[:-1], 5), x, packed=True)
    for how, base in itertools.product(AGGREGATES, [False, True]):
        regressor(f"aggregate_{how.lower()}{'_base' if base else ''}",
                  maker.trees(13, MODES[:4], 4, targets=3, many=True), x, 3, how,
                  base=[maker.weight() for _ in range(3)] if base else None)
    for transform in TRANSFORMS:
        positive = transform == "PROBIT"
        trees = maker.trees(9, MODES[:4], 3, targets=3, many=True, positive=positive)
        if positive:  # averages within (0, 1)
            trees = [tuple(tree) for tree in shrink(trees)]
        regressor(f"transform_{transform.lower()}", trees, x, 3, "AVERAGE", transform)
    regressor("logistic_one", maker.trees(9, MODES[:2], 3), x, 1, "SUM", "LOGISTIC", [F(0.3)])
    for mode in MODES:
        version_5(f"v5_{mode[7:].lower()}", maker.trees(12, [mode], 4), x)
    version_5("v5_mixed", maker.trees(40, MODES, 4, targets=3), x, 3, "SUM", "SOFTMAX")
    version_5("v5_double", maker.trees(20, MODES, 4), x, double=True)
    for how in AGGREGATES:
        version_5(f"v5_{how.lower()}", maker.trees(12, MODES, 3, targets=2), x, 2, how)
    for transform in ["NONE", "LOGISTIC", "SOFTMAX"]:
        classifier(f"pair_{transform.lower()}", shrink(maker.trees(10, MODES[:4], 4, positive=transform == "NONE")), x,
                   [0, 1], transform, [F(0.01)], column=0)
    classifier("pair_second", shrink(maker.trees(10, MODES[:2], 4)), x, ["no", "yes"], "LOGISTIC", column=1)
    classifier("classes_softmax", maker.trees(15, MODES[:4], 4, targets=4), x, [5, 6, 7, 8], "SOFTMAX",
               [maker.weight() for _ in range(4)])
    classifier("classes_none", maker.trees(15, ["BRANCH_LEQ"], 4, targets=3, many=True, positive=True, missing=False), x,
               ["a", "b", "c"], "NONE")
    classifier("prepared", maker.trees(10, MODES[:4], 4, targets=3), x, [0, 1, 2], "LOGISTIC", prepare=prepare_all)
    finite = np.where(np.isinf(x), F(2), x)
    np.save(HERE / "finite_rows.npy", finite)
    dense(finite)


def shrink(trees):
    """The same with small weights."""
    def walk(tree):
        if tree[0] == "leaf":
            return ("leaf", {target: F(weight / F(128)) for target, weight in tree[1].items()})
        return (*tree[:4], walk(tree[4]), walk(tree[5]))
    return [walk(tree) for tree in trees]


if __name__ == "__main__":
    main()
