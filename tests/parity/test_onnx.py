"""ONNX's Conv and ConvTranspose: its published node tests, and random attributes against its reference evaluator."""

import warnings

import numpy as np
import onnx
import onnx.helper
import pytest
from compare import CLOSE
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator
from sampling import pairwise, seeded

import convjax

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the cases of other operators divide by zero
    NODE_TESTS = [c for c in collect_testcases(None) if c.model.graph.node[0].op_type in ("Conv", "ConvTranspose")]


def run(node, x, weight, bias=None):
    """Compute an ONNX node with convjax."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    dims = weight.ndim - 2
    kernel, size = weight.shape[2:], x.shape[2:]
    stride, dilation = (tuple(given.get(name, (1,) * dims)) for name in ("strides", "dilations"))
    options = {"stride": stride, "dilation": dilation, "groups": given.get("group", 1)}
    auto = given.get("auto_pad", b"NOTSET").decode()
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = list(zip(given["pads"][:dims], given["pads"][dims:], strict=True)) if "pads" in given else [(0, 0)] * dims
    if node.op_type == "Conv":
        if auto.startswith("SAME"):
            total = [max(0, (-(-n // s) - 1) * s + e - n) for n, s, e in zip(size, stride, extents, strict=True)]
            pads = [halves(t, upper=auto == "SAME_UPPER") for t in total]
        return convjax.conv(x, weight, bias, padding=pads, **options)
    extra = list(given.get("output_padding", (0,) * dims))
    if auto.startswith("SAME") or "output_shape" in given:
        wanted = given.get("output_shape", [n * s for n, s in zip(size, stride, strict=True)])
        full = [(n - 1) * s + e + o for n, s, e, o in zip(size, stride, extents, extra, strict=True)]
        total = [f - w for f, w in zip(full, wanted, strict=True)]
        extra = [o + max(0, -t) for o, t in zip(extra, total, strict=True)]
        pads = [halves(max(0, t), upper=auto == "SAME_UPPER") for t in total]
    return convjax.conv_transpose(x, weight, bias, padding=pads, output_padding=extra, **options)


def halves(total, upper):
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


@pytest.mark.parametrize("case", NODE_TESTS, ids=lambda case: case.name)
def test_node_tests(case):
    for inputs, outputs in case.data_sets:
        got = run(case.model.graph.node[0], *inputs)
        assert got.dtype == outputs[0].dtype
        np.testing.assert_allclose(got, outputs[0], rtol=1e-6, atol=0)


def test_the_node_tests_are_there():
    assert sum(case.name.startswith("test_convtranspose") for case in NODE_TESTS) >= 10
    assert sum("conv_with" in case.name for case in NODE_TESTS) >= 5


LEVELS = {
    "dims": (1, 2, 3),
    "pads": ("none", "symmetric", "asymmetric", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "group": (1, 2, 3),
    "strides": (1, 2, "each"),
    "dilations": (1, 2, "each"),
    "kernel": (2, 3, "each"),
    "batch": (1, 2),
    "bias": (True, False),
}
TRANSPOSED_LEVELS = LEVELS | {
    "pads": ("none", "symmetric", "asymmetric", "SAME_UPPER", "SAME_LOWER", "output_shape"),
    "output_padding": (0, "each"),
}


def node_case(op_type, choice, rng):
    dims = choice["dims"]

    def each(name):
        level = choice[name]
        return rng.integers(1, 4, dims).tolist() if level == "each" else [level] * dims

    transposed = op_type == "ConvTranspose"
    kernel, strides, dilations, group = each("kernel"), each("strides"), each("dilations"), choice["group"]
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if transposed and choice["pads"].startswith("SAME"):
        # A wider stride makes the padding negative, and the standard does not say on which side.
        strides = [min(s, e) for s, e in zip(strides, extents, strict=True)]
    size = [int(n + rng.integers(0, 3)) for n in (extents if not transposed else [3] * dims)]
    attributes = {"strides": strides, "dilations": dilations, "group": group, "kernel_shape": kernel}
    if transposed and choice["output_padding"]:
        # Below the stride, because the reference evaluator rejects a larger one even if the dilation allows it.
        attributes["output_padding"] = [int(rng.integers(0, s)) for s in strides]
    pads = choice["pads"]
    if pads == "symmetric":
        attributes["pads"] = [1] * dims * 2
    elif pads == "asymmetric":
        attributes["pads"] = rng.integers(0, 2, dims * 2).tolist()
    elif pads == "output_shape":
        extra = attributes.get("output_padding", [0] * dims)
        full = [(n - 1) * s + e + o for n, s, e, o in zip(size, strides, extents, extra, strict=True)]
        attributes["output_shape"] = [int(f - rng.integers(0, e)) for f, e in zip(full, extents, strict=True)]
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))
    elif pads != "none":
        attributes["auto_pad"] = pads
    inner, outer = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    bias = choice["bias"]
    if transposed and group > 1:
        # With more than one channel per group, the reference evaluator reads and writes the wrong channels. It also
        # adds the same bias in all groups.
        inner, outer, bias = 1, 1, False
    weight = (group * inner, outer) if transposed else (group * outer, inner)
    shapes = [(choice["batch"], group * inner, *size), (*weight, *kernel)] + [(group * outer,)] * bias
    node = onnx.helper.make_node(op_type, ["x", "w", "b"][: len(shapes)], ["y"], **attributes)
    return node, [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_random_attributes(op_type):
    rng = seeded(op_type)
    levels = LEVELS if op_type == "Conv" else TRANSPOSED_LEVELS
    for choice in pairwise(rng, levels, 40, lambda choice: True):
        node, operands = node_case(op_type, choice, rng)
        (want,) = ReferenceEvaluator(node).run(None, dict(zip(node.input, operands, strict=True)))
        got = run(node, *operands)
        label = f"{[a.shape for a in operands]}\n{node}"
        assert got.shape == want.shape, label
        np.testing.assert_allclose(got, want, rtol=0, atol=CLOSE["float64"] * 100, err_msg=label)
