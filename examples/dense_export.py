#!/usr/bin/python3
"""Writes dense models for tutti: safetensors files that say in which order their tensors are used.

    export(model, "model.safetensors")        scikit-learn: a linear or logistic model, a perceptron, or a
                                              pipeline of SimpleImputer and StandardScaler before one
    write_dense(path, task, layers, …)        any layers of your own, from PyTorch, Keras or numpy
    write_safetensors(path, tensors, …)       the format itself; needs no package but numpy

From PyTorch, for layers = [nn.Linear, nn.ReLU, nn.Linear] and a softmax over the last one:

    write_dense("model.safetensors", "classification",
                [(fc1.weight.detach().numpy(), fc1.bias.detach().numpy(), "relu"),
                 (fc2.weight.detach().numpy(), fc2.bias.detach().numpy(), "softmax")])

worker/dense.hpp describes what tutti reads.
"""

import json

import numpy as np

DTYPES = {"float16": "F16", "float32": "F32", "float64": "F64"}
ACTIVATIONS = {"identity": "identity", "relu": "relu", "tanh": "tanh", "logistic": "sigmoid", "softmax": "softmax"}


def write_safetensors(path, tensors: dict, metadata: dict) -> None:
    """Writes tensors (name → numpy array) and metadata (text → text) as one safetensors file.

    The file: the header's length as 8 bytes little-endian, the header as JSON, the tensors' bytes.
    """
    header, blobs, offset = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        tensor = np.asarray(tensor)
        dtype = tensor.dtype.name
        if dtype not in DTYPES:
            raise ValueError(f"tensor {name!r} is {dtype}; give it as {', '.join(DTYPES)}")
        blob = tensor.astype(tensor.dtype.newbyteorder("<")).tobytes(order="C")
        header[name] = {
            "dtype": DTYPES[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8, as readers that map the file like it
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def write_dense(path, task: str, layers, mean=None, scale=None, fill=None) -> None:
    """Writes a dense model.

    task    "classification": the last activation is softmax, or sigmoid for two classes in one output
            "regression": the last layer has one output
    layers  list of (weight [outputs][inputs], bias [outputs] or None, activation); activations are identity,
            relu, tanh, sigmoid, softmax, gelu and gelu_tanh
    mean, scale  [features]: inputs become (x - mean) / scale; None leaves that step out
    fill    [features]: replaces missing numbers (NaN), before all else

    Arrays keep their type: float32 makes tutti compute in float32, one float64 among them in float64.
    """
    tensors, given = {}, {}
    for key, tensor in (("fill", fill), ("mean", mean), ("scale", scale)):
        if tensor is not None:
            name = "imputer.fill" if key == "fill" else f"scaler.{key}"
            tensors[name] = tensor
            given[key] = name
    description = {"version": 1, "task": task}
    if given:
        description["input"] = given
    description["layers"] = []
    for number, (weight, bias, activation) in enumerate(layers, start=1):
        tensors[f"fc{number}.weight"] = weight
        layer = {"weight": f"fc{number}.weight"}
        if bias is not None:
            tensors[f"fc{number}.bias"] = bias
            layer["bias"] = f"fc{number}.bias"
        description["layers"].append({**layer, "activation": activation})
    write_safetensors(path, tensors, {"tutti.layers": json.dumps(description)})


def _perceptron(model) -> tuple:
    """scikit-learn's perceptrons keep weights as [inputs][outputs]."""
    last = len(model.coefs_) - 1
    layers = [
        (weight.T, bias, ACTIVATIONS[model.out_activation_ if index == last else model.activation])
        for index, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_))
    ]
    classification = hasattr(model, "classes_")
    outputs = layers[-1][0].shape[0]
    if outputs > 1 and layers[-1][2] != "softmax":
        raise ValueError("a model of several labels or targets has no place in an ensemble: export one for each")
    return "classification" if classification else "regression", layers


def _linear(model) -> tuple:
    coefficients = np.atleast_2d(model.coef_)
    # Without an intercept scikit-learn keeps the single number 0.
    intercept = np.broadcast_to(np.atleast_1d(model.intercept_), (len(coefficients),)).astype(coefficients.dtype)
    if not hasattr(model, "classes_"):
        if len(coefficients) != 1:
            raise ValueError("a model of several targets has no place in an ensemble: export one for each")
        return "regression", [(coefficients, intercept, "identity")]
    if not hasattr(model, "predict_proba"):
        raise ValueError(f"{type(model).__name__} gives no probabilities; train a LogisticRegression")
    many = len(model.classes_) > 2
    kind = getattr(model, "multi_class", "auto")
    one_against_rest = kind == "ovr" or (kind == "auto" and (not many or model.solver == "liblinear"))
    if not one_against_rest and not many:
        # Two classes under multinomial loss: softmax over the scores -s and s, which is the sigmoid of 2 s.
        return "classification", [(2 * coefficients, 2 * intercept, "sigmoid")]
    return "classification", [(coefficients, intercept, "sigmoid" if one_against_rest else "softmax")]


def export(model, path, dtype=np.float64) -> None:
    """Writes a fitted scikit-learn model, or a pipeline that ends in one, for tutti.

    dtype   np.float64 gives scikit-learn's numbers to the last digits of float32; np.float32 halves the file
            and the time
    """
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    given, order = {}, []
    for step in steps[:-1]:
        if hasattr(step, "statistics_"):
            order.append("impute")
            if len(step.statistics_) != step.n_features_in_ or getattr(step, "add_indicator", False):
                raise ValueError("an imputer that adds or drops columns cannot be exported")
            given["fill"] = step.statistics_
        elif hasattr(step, "mean_") and hasattr(step, "scale_"):
            order.append("scale")
            given["mean"], given["scale"] = step.mean_, step.scale_
        elif step is not None and step != "passthrough":
            raise ValueError(f"cannot export the step {type(step).__name__}: only SimpleImputer and StandardScaler")
    if order not in ([], ["impute"], ["scale"], ["impute", "scale"]):
        raise ValueError("the imputer comes first, the scaler second, and each once")
    task, layers = (_perceptron if hasattr(steps[-1], "coefs_") else _linear)(steps[-1])
    layers = [(weight.astype(dtype), bias.astype(dtype), activation) for weight, bias, activation in layers]
    given = {key: value.astype(dtype) for key, value in given.items() if value is not None}
    write_dense(path, task, layers, **given)
