"""One table of every kind of mistake: the error, the argument that it names, and a phrase of its message."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convjax

X, W = np.zeros((2, 4, 8, 8), np.float32), np.zeros((6, 4, 3, 3), np.float32)
WT = np.zeros((4, 6, 3, 3), np.float32)
COLUMNS = np.zeros((2, 36, 36), np.float32)
KEY = np.array([0, 1], np.uint32)


def a(*shape):
    return np.zeros(shape, np.float32)


# function, arguments that differ from a valid call, the error, the argument it names, a phrase of the message
TABLE = [
    # arrays
    ("conv2d", {"x": None}, TypeError, "x", "NoneType"),
    ("conv2d", {"x": "image.png"}, TypeError, "x", "image.png"),
    ("conv2d", {"x": [[1, 2], [3]]}, TypeError, "x", "not an array"),
    ("conv2d", {"x": np.array(["a"])}, TypeError, "x", "not an array"),
    ("conv2d", {"x": object()}, TypeError, "x", "not an array"),
    ("conv2d", {"weight": None}, TypeError, "weight", "NoneType"),
    ("conv2d", {"weight": {"weight": W}}, TypeError, "weight", "dict"),
    ("conv2d", {"x": X > 0, "weight": W > 0}, TypeError, "x", "dtype bool"),
    ("conv2d", {"x": jax.ShapeDtypeStruct((1, 4, 8, 8), np.float32)}, TypeError, "x", "ShapeDtypeStruct"),
    # ranks and sizes
    ("conv2d", {"x": a(8, 8)}, ValueError, "x", "x[None, None]"),
    ("conv2d", {"x": a(1, 2, 4, 8, 8)}, ValueError, "x", "5 axes"),
    ("conv2d", {"x": a()}, ValueError, "x", "0 axes"),
    ("conv2d", {"x": a(2, 4, 0, 8)}, ValueError, "x", "size 0"),
    ("conv2d", {"x": a(2, 0, 8, 8), "weight": a(6, 0, 3, 3)}, ValueError, "x", "size 0"),
    ("conv2d", {"weight": a(3, 3)}, ValueError, "weight", "weight[None, None]"),
    ("conv2d", {"weight": a(6, 4, 3)}, ValueError, "weight", "convjax.conv1d"),
    ("conv2d", {"weight": a(6, 4, 3, 3, 3)}, ValueError, "weight", "convjax.conv3d"),
    ("conv2d", {"weight": a(6, 4, 0, 3)}, ValueError, "weight", "size 0"),
    ("conv2d", {"weight": a(0, 4, 3, 3)}, ValueError, "weight", "size 0"),
    ("conv", {"x": a(2, 4), "weight": a(6, 4)}, ValueError, "weight", "at least one spatial axis"),
    ("conv1d", {"x": a(8), "weight": a(1, 1, 3)}, ValueError, "x", "x[None, None]"),
    ("conv3d", {"x": a(4, 8, 8), "weight": a(1, 4, 3, 3, 3)}, ValueError, "x", "3 axes"),
    # channels and groups
    ("conv2d", {"x": a(2, 3, 8, 8)}, ValueError, "weight", "takes 4"),
    ("conv2d", {"x": a(2, 8, 8, 4)}, ValueError, "weight", "moveaxis(x, -1, 1)"),
    ("conv2d", {"x": a(8, 8, 4)}, ValueError, "weight", "moveaxis(x, -1, 0)"),
    ("conv2d", {"x": a(2, 8, 9, 9)}, ValueError, "weight", "groups=2"),
    ("conv2d", {"x": a(2, 20, 9, 9)}, ValueError, "weight", "a weight made for 20 channels"),
    ("conv_transpose2d", {"x": a(2, 6, 9, 9)}, ValueError, "weight", "weight.swapaxes(0, 1)"),
    ("conv2d", {"weight": a(8, 1, 3, 3)}, ValueError, "weight", "groups=4"),
    ("conv2d", {"weight": a(8, 2, 3, 3), "groups": 3}, ValueError, "groups", "groups=2"),
    ("conv1d", {"x": a(1, 1, 9), "weight": a(3)}, ValueError, "weight", "weight[None, None]"),
    ("conv2d", {"x": a(2, 64, 9, 9), "weight": a(3, 3, 64, 128)}, ValueError, "weight", "looks like HWIO"),
    ("conv2d", {"x": a(2, 64, 9, 9), "weight": a(3, 3, 64, 96)}, ValueError, "weight", "weight.transpose(3, 2, 0, 1)"),
    ("conv2d", {"x": a(2, 3, 9, 9), "weight": a(3, 3, 3, 64)}, ValueError, "weight", "weight.transpose(3, 2, 0, 1)"),
    ("conv2d", {"x": a(2, 1, 9, 9), "weight": a(3, 3, 1, 1)}, ValueError, "weight", "weight.transpose(3, 2, 0, 1)"),
    ("conv2d", {"x": a(2, 64, 9, 9), "weight": a(3, 3, 1, 64), "groups": 64}, ValueError, "weight", "looks like HWIO"),
    ("conv2d", {"x": a(2, 9, 9, 64), "weight": a(3, 3, 64, 128)}, ValueError, "weight",
     "moveaxis(x, -1, 1), if the channels of x come last, and weight.transpose(3, 2, 0, 1)"),
    ("conv2d", {"x": a(2, 64, 9, 9), "weight": a(96, 3, 3, 64)}, ValueError, "weight", "weight.transpose(0, 3, 1, 2)"),
    ("conv2d", {"x": a(2, 3, 9, 9), "weight": a(6, 1, 3, 3)}, ValueError, "weight", "groups=3"),
    ("conv1d", {"x": a(2, 64, 9), "weight": a(3, 64, 128)}, ValueError, "weight", "weight.transpose(2, 1, 0)"),
    ("conv3d", {"x": a(2, 64, 5, 5, 5), "weight": a(3, 3, 3, 64, 128)}, ValueError, "weight",
     "weight.transpose(4, 3, 0, 1, 2)"),
    ("conv", {"x": a(2, 64, 2, 2, 2, 2), "weight": a(2, 2, 2, 2, 64, 9)}, ValueError, "weight", "like ...IO"),
    ("conv_transpose2d", {"x": a(2, 64, 9, 9), "weight": a(3, 3, 64, 96)}, ValueError, "weight",
     "weight.transpose(2, 3, 0, 1)"),
    ("conv_transpose2d", {"x": a(2, 64, 9, 9), "weight": a(3, 3, 96, 64)}, ValueError, "weight",
     "weight.transpose(3, 2, 0, 1)"),
    ("conv2d", {"groups": 3}, ValueError, "groups", "4 input channels"),
    ("conv2d", {"weight": a(3, 2, 3, 3), "groups": 2}, ValueError, "groups", "3 output channels"),
    ("conv2d", {"x": a(1, 2, 8, 8), "weight": a(3, 1, 3, 3), "groups": 2}, ValueError, "groups", "groups=1, with"),
    ("conv2d", {"groups": 0}, ValueError, "groups", "below 1"),
    ("conv2d", {"groups": -1}, ValueError, "groups", "groups=-1"),
    ("conv2d", {"groups": 1.0}, TypeError, "groups", "groups=1"),
    ("conv2d", {"groups": True}, TypeError, "groups", "bool"),
    ("conv2d", {"groups": None}, TypeError, "groups", "NoneType"),
    ("conv2d", {"groups": (1,)}, TypeError, "groups", "tuple"),
    # stride and dilation
    ("conv2d", {"stride": 0}, ValueError, "stride", "below 1"),
    ("conv2d", {"stride": (1, -2)}, ValueError, "stride", "(1, -2)"),
    ("conv2d", {"stride": 2**63}, ValueError, "stride", "below 2**63"),
    ("conv2d", {"padding": 2**62}, ValueError, "padding", "below 2**63"),
    ("conv_transpose2d", {"stride": 2**62}, ValueError, "stride", "below 2**63"),
    # sizes that XLA cannot count, in elements or in bytes: without the check it would end the process
    ("conv2d", {"padding": 2**31}, ValueError, "padding", "below 2**63"),
    ("conv2d", {"padding": 2**55}, ValueError, "padding", "below 2**63"),
    ("conv2d", {"padding": 2**31, "stride": 2**31}, ValueError, "padding", "below 2**63"),
    ("conv2d", {"padding": 2**31, "padding_mode": "replicate"}, ValueError, "padding", "below 2**63"),
    ("conv2d", {"padding": 2**40, "dilation": 2**40}, ValueError, "dilation", "below 2**63"),
    ("conv2d", {"padding": "same", "dilation": 2**40}, ValueError, "dilation", "below 2**63"),
    ("conv1d", {"x": a(1, 1, 9), "weight": a(1, 1, 3), "padding": 2**60}, ValueError, "padding", "below 2**63"),
    ("conv1d", {"x": a(1, 1, 9), "weight": a(64, 1, 3), "padding": 2**56}, ValueError, "padding", "below 2**63"),
    ("conv_transpose2d", {"stride": 2**33}, ValueError, "stride", "below 2**63"),
    ("conv_transpose2d", {"dilation": 2**33}, ValueError, "dilation", "below 2**63"),
    ("conv_transpose2d", {"x": a(1, 4, 1, 1), "stride": 2**62, "output_padding": 2**62 - 1}, ValueError,
     "output_padding", "below 2**63"),
    ("unfold", {"padding": 2**33}, ValueError, "padding", "below 2**63"),
    ("unfold", {"x": a(1, 1, 9), "kernel_size": (2**20,), "padding": 2**40}, ValueError, "kernel_size", "below 2**63"),
    ("fold", {"x": a(1, 1, 1), "kernel_size": 1, "output_size": 2**33, "stride": 2**34}, ValueError, "output_size",
     "below 2**63"),
    ("init_conv", {"in_channels": 2**62}, ValueError, "in_channels", "below 2**63"),
    ("init_conv", {"in_channels": 2**33, "out_channels": 2**33}, ValueError, "out_channels", "below 2**63"),
    ("init_conv", {"kernel_size": 2**32}, ValueError, "kernel_size", "below 2**63"),
    ("kernels.sobel", {"channels": 2**60}, ValueError, "channels", "below 2**63"),
    ("kernels.box", {"size": 2**33}, ValueError, "size", "below 2**63"),
    ("kernels.gaussian", {"size": 2**33 + 1}, ValueError, "size", "below 2**63"),
    ("kernels.gaussian", {"sigma": 1e200, "truncate": 1e200}, ValueError, "sigma", "below 2**63"),
    ("ndimage.uniform_filter", {"size": 2**62}, ValueError, "size", "below 2**63"),
    ("ndimage.minimum_filter", {"size": 2**62}, ValueError, "size", "below 2**63"),
    ("ndimage.maximum_filter1d", {"size": 2**62}, ValueError, "size", "below 2**63"),
    ("ndimage.median_filter", {"size": 2**33}, ValueError, "size", "below 2**63"),
    ("ndimage.gaussian_filter", {"radius": 2**60}, ValueError, "radius", "below 2**63"),
    ("ndimage.gaussian_filter", {"sigma": 1e300, "truncate": 1e300}, ValueError, "sigma", "below 2**63"),
    ("edges.canny", {"sigma": 1e30}, ValueError, "sigma", "below 2**63"),
    ("signal.correlation_lags", {"in1_len": 2**62}, ValueError, "in1_len", "below 2**63"),
    ("plan", {"padding": 2**31}, ValueError, "padding", "below 2**63"),
    ("conv_output_shape", {"padding": 2**31}, ValueError, "padding", "below 2**63"),
    ("conv_output_shape", {"x_shape": (2**62, 4, 8, 8)}, ValueError, "x", "below 2**63"),
    ("conv_output_shape", {"x_shape": (1, 2**40, 8), "weight": (2**40, 2**40, 3)}, ValueError, "weight",
     "below 2**63"),
    ("conv2d", {"stride": 2.0}, TypeError, "stride", "stride=2"),
    ("conv2d", {"stride": 1.5}, TypeError, "stride", "1.5"),
    ("conv2d", {"stride": (1, 2.0)}, TypeError, "stride", "(1, 2.0)"),
    ("conv2d", {"stride": np.float32(2)}, TypeError, "stride", "float32"),
    ("conv2d", {"stride": float("nan")}, TypeError, "stride", "nan"),
    ("conv2d", {"stride": float("inf")}, TypeError, "stride", "inf"),
    ("conv2d", {"stride": True}, TypeError, "stride", "bool"),
    ("conv2d", {"stride": None}, TypeError, "stride", "NoneType"),
    ("conv2d", {"stride": "2"}, TypeError, "stride", "str"),
    ("conv2d", {"stride": (1, 1, 1)}, ValueError, "stride", "2 entries"),
    ("conv2d", {"stride": ()}, ValueError, "stride", "2 entries"),
    ("conv2d", {"stride": ((1, 1), (1, 1))}, TypeError, "stride", "tuple"),
    ("conv2d", {"stride": np.ones((2, 2), int)}, TypeError, "stride", "ndarray"),
    ("conv2d", {"dilation": 0}, ValueError, "dilation", "below 1"),
    ("conv2d", {"dilation": -1}, ValueError, "dilation", "below 1"),
    ("conv2d", {"dilation": 1.0}, TypeError, "dilation", "dilation=1"),
    ("conv2d", {"dilation": (1, 1, 1)}, ValueError, "dilation", "2 entries"),
    # padding
    ("conv2d", {"padding": -1}, ValueError, "padding", "crop"),
    ("conv2d", {"padding": ((1, -1), (0, 0))}, ValueError, "padding", "crop"),
    ("conv2d", {"padding": 0.5}, TypeError, "padding", "0.5"),
    ("conv2d", {"padding": None}, TypeError, "padding", "NoneType"),
    ("conv2d", {"padding": (1, 1, 1)}, ValueError, "padding", "2 entries"),
    ("conv2d", {"padding": (1, 1, 1, 1)}, ValueError, "padding", "padding=((1, 1), (1, 1))"),
    ("conv2d", {"padding": [1, 2, 3, 4]}, ValueError, "padding", "padding=((3, 4), (1, 2)) if the last dimension"),
    ("conv2d", {"padding": np.array([1, 2, 3, 4])}, ValueError, "padding", "else ((1, 2), (3, 4))"),
    ("conv2d", {"padding": np.ones((3, 2), int)}, ValueError, "padding", "2 entries"),
    ("conv2d", {"padding": np.ones((2, 2))}, TypeError, "padding", "ndarray"),
    ("conv2d", {"padding": ((1, 1),)}, ValueError, "padding", "2 entries"),
    ("conv2d", {"padding": ((1, 1, 1), (1, 1, 1))}, ValueError, "padding", "pair"),
    ("conv2d", {"padding": ((1, 1), None)}, TypeError, "padding", "None"),
    ("conv2d", {"padding": "SAME"}, ValueError, "padding", "padding='same'"),
    ("conv2d", {"padding": "full"}, ValueError, "padding", "'valid'"),
    ("conv2d", {"padding": "same", "stride": 2}, ValueError, "padding", "padding=((1, 1), (1, 1))"),
    ("conv1d", {"x": a(1, 1, 9), "weight": a(1, 1, 3), "padding": (1, 2)}, ValueError, "padding", "((1, 2),)"),
    ("conv2d", {"padding_mode": "symmetric"}, ValueError, "padding_mode", "'reflect', which does not repeat the edge"),
    ("conv2d", {"padding_mode": "constant"}, ValueError, "padding_mode", "try:      padding_mode='zeros'"),
    ("conv2d", {"padding_mode": "edge"}, ValueError, "padding_mode", "try:      padding_mode='replicate'"),
    ("conv2d", {"padding_mode": "nearest"}, ValueError, "padding_mode", "try:      padding_mode='replicate'"),
    ("conv2d", {"padding_mode": "wrap"}, ValueError, "padding_mode", "try:      padding_mode='circular'"),
    ("conv2d", {"padding_mode": "Mirror"}, ValueError, "padding_mode", "try:      padding_mode='reflect'"),
    ("conv2d", {"padding_mode": "refelct"}, ValueError, "padding_mode", "try:      padding_mode='reflect'"),
    ("conv2d", {"padding": "causal"}, ValueError, "padding", "try:      padding=((dilation * (kernel - 1), 0),)"),
    ("conv2d", {"padding_mode": None}, TypeError, "padding_mode", "NoneType"),
    ("conv2d", {"padding_mode": ["zeros"]}, TypeError, "padding_mode", "list"),
    ("conv2d", {"padding_mode": "reflect", "padding": 8}, ValueError, "padding", "at most 7"),
    ("conv2d", {"padding_mode": "circular", "padding": 9}, ValueError, "padding", "at most 8"),
    # kernels larger than the image
    ("conv2d", {"weight": a(6, 4, 9, 9)}, ValueError, "weight", "kernel extent (9, 9)"),
    ("conv2d", {"dilation": 4}, ValueError, "weight", "kernel extent (9, 9)"),
    # bias
    ("conv2d", {"bias": a(5)}, ValueError, "bias", "(6,)"),
    ("conv2d", {"bias": a(1, 6, 1, 1)}, ValueError, "bias", "bias.reshape(-1)"),
    ("conv2d", {"bias": np.float32(0)}, ValueError, "bias", "shape ()"),
    ("conv2d", {"bias": "zeros"}, TypeError, "bias", "zeros"),
    ("conv2d", {"bias": [0, 0]}, ValueError, "bias", "shape (2,)"),
    # arguments that only convjax has
    ("conv2d", {"precision": "exact"}, ValueError, "precision", "'highest'"),
    ("conv2d", {"precision": 7}, TypeError, "precision", "7"),
    ("conv2d", {"precision": ("high", "exact")}, TypeError, "precision", "exact"),
    ("conv2d", {"preferred_element_type": "floaty"}, TypeError, "preferred_element_type", "floaty"),
    ("conv2d", {"preferred_element_type": "longdouble"}, TypeError, "preferred_element_type", "longdouble"),
    ("conv2d", {"preferred_element_type": jnp.bfloat16}, TypeError, "preferred_element_type", "bfloat16"),
    ("conv2d", {"preferred_element_type": jnp.int32}, TypeError, "preferred_element_type", "int32"),
    ("conv2d", {"algorithm": "fastest"}, ValueError, "algorithm", "'xla'"),
    ("conv2d", {"algorithm": "unfold"}, ValueError, "algorithm", "try:      algorithm='im2col'"),
    ("conv2d", {"algorithm": "GEMM"}, ValueError, "algorithm", "try:      algorithm='matmul'"),
    ("conv2d", {"algorithm": "direct"}, ValueError, "algorithm", "try:      algorithm='xla'"),
    ("conv2d", {"algorithm": "depthwise"}, ValueError, "algorithm", "try:      algorithm='shift_add'"),
    ("conv2d", {"algorithm": "winnograd"}, ValueError, "algorithm", "try:      algorithm='winograd'"),
    # names from other libraries
    ("conv2d", {"data_format": "NHWC"}, TypeError, "data_format", "jax.numpy.moveaxis(x, -1, 1)"),
    ("conv2d", {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}, TypeError, "dimension_numbers", "moveaxis"),
    ("conv2d", {"feature_group_count": 2}, TypeError, "feature_group_count", "try:      groups=2"),
    ("conv2d", {"kernel_size": 3}, TypeError, "kernel_size", "`weight` has the kernel's sizes"),
    ("conv2d", {"rhs_dilation": (2, 2)}, TypeError, "rhs_dilation", "try:      dilation=(2, 2)"),
    ("conv2d", {"window_strides": (2, 2)}, TypeError, "window_strides", "try:      stride=(2, 2)"),
    ("conv2d", {"strides": 2}, TypeError, "strides", "expected: some of x, weight, bias, stride"),
    ("conv2d", {"lhs_dilation": 2}, TypeError, "lhs_dilation", "convjax.conv_transpose, with it as the stride"),
    ("conv2d", {"batch_group_count": 2}, TypeError, "batch_group_count", "jax.vmap"),
    ("conv2d", {"transpose": True}, TypeError, "transpose", "convjax.conv_transpose"),
    ("conv2d", {"kernel": W}, TypeError, "kernel", "try:      weight=..."),
    ("conv2d", {"dtype": "float32"}, TypeError, "dtype", "preferred_element_type='float32'"),
    ("conv2d", {"paddding": 1}, TypeError, "paddding", "try:      padding=1"),
    ("conv2d", {"colour": 1}, TypeError, "colour", "help(convjax.conv2d)"),
    ("conv_transpose2d", {"outputpadding": 1}, TypeError, "outputpadding", "try:      output_padding=1"),
    ("unfold", {"input": X}, TypeError, "input", "try:      x=..."),
    ("unfold", {"strides": 2}, TypeError, "strides", "try:      stride=2"),
    ("fold", {"size": 8}, TypeError, "size", "try:      output_size=8"),
    ("init_conv", {"use_bias": False}, TypeError, "use_bias", "try:      bias=False"),
    ("init_conv", {"rng": 0}, TypeError, "rng", "try:      key=0"),
    ("kernels.sobel", {"ksize": 5}, TypeError, "ksize", "help(convjax.kernels.sobel)"),
    ("kernels.box", {"kernel_size": 5}, TypeError, "kernel_size", "try:      size=5"),
    ("ndimage.uniform_filter", {"output": X}, TypeError, "output", "use the result"),
    ("ndimage.uniform_filter", {"kernel_size": 5}, TypeError, "kernel_size", "try:      size=5"),
    ("ndimage.median_filter", {"padding_mode": "wrap"}, TypeError, "padding_mode", "try:      mode='wrap'"),
    ("ndimage.median_filter", {"mode": "edge"}, ValueError, "mode", "try:      mode='nearest'"),
    ("ndimage.gaussian_filter", {"channel_axis": -1}, TypeError, "channel_axis", "jax.vmap"),
    ("signal.convolve2d", {"mode": "sane"}, ValueError, "mode", "try:      mode='same'"),
    ("signal.convolve2d", {"boundary": "periodic"}, ValueError, "boundary", "try:      boundary='wrap'"),
    ("signal.convolve2d", {"cval": 1}, TypeError, "cval", "try:      fillvalue=1"),
    ("edges.canny", {"threshold": 1}, TypeError, "threshold", "try:      low_threshold=1"),
    ("conv2d", {"algorithm": np.array([])}, TypeError, "algorithm", "ndarray"),
    ("conv2d", {"algorithm": None}, TypeError, "algorithm", "NoneType"),
    # transposed
    ("conv_transpose2d", {"x": a(2, 3, 8, 8)}, ValueError, "weight", "takes 4"),
    ("conv_transpose2d", {"groups": 3}, ValueError, "groups", "4 input channels"),
    ("conv_transpose2d", {"weight": a(4, 6, 3)}, ValueError, "weight", "convjax.conv_transpose1d"),
    ("conv_transpose2d", {"bias": a(4)}, ValueError, "bias", "(6,)"),
    ("conv_transpose2d", {"padding": "same"}, ValueError, "padding", "numbers only"),
    ("conv_transpose2d", {"padding": -1}, ValueError, "padding", "below 0"),
    ("conv_transpose2d", {"padding": 5}, ValueError, "padding", "(0, 0)"),
    ("conv_transpose2d", {"output_padding": 1}, ValueError, "output_padding", "not smaller than the stride"),
    ("conv_transpose2d", {"output_padding": (0, 2), "stride": (3, 2)}, ValueError, "output_padding", "(0, 2)"),
    ("conv_transpose2d", {"output_padding": -1}, ValueError, "output_padding", "below 0"),
    ("conv_transpose2d", {"output_padding": 0.0}, TypeError, "output_padding", "output_padding=0"),
    ("conv_transpose2d", {"output_padding": (0, 0, 0)}, ValueError, "output_padding", "2 entries"),
    ("conv_transpose2d", {"stride": 0}, ValueError, "stride", "below 1"),
    ("conv_transpose2d", {"x": a(8, 8)}, ValueError, "x", "x[None, None]"),
    ("conv_transpose2d", {"x": a(2, 4, 0, 8)}, ValueError, "x", "size 0"),
    ("conv_transpose2d", {"algorithm": "polyphasic"}, ValueError, "algorithm", "polyphasic"),
    # unfold and fold
    ("unfold", {"kernel_size": 0}, ValueError, "kernel_size", "below 1"),
    ("unfold", {"kernel_size": None}, TypeError, "kernel_size", "NoneType"),
    ("unfold", {"kernel_size": ()}, ValueError, "kernel_size", "2 entries"),
    ("unfold", {"kernel_size": 9}, ValueError, "kernel_size", "(9, 9)"),
    ("unfold", {"padding": -1}, ValueError, "padding", "below 0"),
    ("unfold", {"padding": "same"}, ValueError, "padding", "numbers only"),
    ("unfold", {"stride": 0}, ValueError, "stride", "below 1"),
    ("unfold", {"x": a(2, 0, 8, 8)}, ValueError, "x", "size 0"),
    ("unfold", {"x": a(2, 4, 8, 8, 8)}, ValueError, "x", "5 axes"),
    ("fold", {"x": a(2, 36, 35)}, ValueError, "x", "36 patches"),
    ("fold", {"x": a(2, 35, 36)}, ValueError, "x", "9 kernel taps"),
    ("fold", {"x": a(36)}, ValueError, "x", "1 axis"),
    ("fold", {"output_size": 2}, ValueError, "kernel_size", "(3, 3)"),
    ("fold", {"output_size": (8, 8, 8)}, ValueError, "output_size", "2 entries"),
    ("fold", {"output_size": None}, TypeError, "output_size", "NoneType"),
    ("fold", {"kernel_size": 2.0}, TypeError, "kernel_size", "kernel_size=2"),
    # parameters, kernels, plans, shapes
    ("init_conv", {"key": 0}, TypeError, "key", "jax.random.key(0)"),
    ("init_conv", {"key": None}, TypeError, "key", "NoneType"),
    ("init_conv", {"in_channels": 0}, ValueError, "in_channels", "below 1"),
    ("init_conv", {"out_channels": 6.0}, TypeError, "out_channels", "out_channels=6"),
    ("init_conv", {"groups": 3}, ValueError, "groups", "4 input channels"),
    ("init_conv", {"kernel_size": (3, 0)}, ValueError, "kernel_size", "below 1"),
    ("init_conv", {"kernel_size": ()}, ValueError, "kernel_size", "2 entries"),
    ("init_conv", {"bias": None}, TypeError, "bias", "True or False"),
    ("init_conv", {"transpose": 1}, TypeError, "transpose", "int"),
    ("init_conv", {"dtype": "int32"}, TypeError, "dtype", "int32"),
    ("init_conv", {"dtype": None}, TypeError, "dtype", "NoneType"),
    ("kernels.laplacian", {"neighbours": np.array([4, 8])}, TypeError, "neighbours", "ndarray"),
    ("kernels.laplacian", {"neighbours": 4.0}, TypeError, "neighbours", "float"),
    ("kernels.sharpen", {"amount": "much"}, TypeError, "amount", "much"),
    ("kernels.sharpen", {"amount": np.ones(3)}, TypeError, "amount", "ndarray"),
    ("kernels.gabor", {"theta": "x"}, TypeError, "theta", "a number"),
    ("kernels.gabor", {"theta": np.ones(25), "size": 25}, TypeError, "theta", "ndarray"),
    ("kernels.gabor", {"phase": None}, TypeError, "phase", "NoneType"),
    ("kernels.gaussian", {"sigma": 0.0}, ValueError, "sigma", "above 0"),
    ("kernels.gaussian", {"sigma": "wide"}, ValueError, "sigma", "wide"),
    ("kernels.gaussian", {"size": 4}, ValueError, "size", "size=5"),
    ("kernels.gaussian", {"sigma": jnp.ones(2)}, ValueError, "sigma", "above 0"),
    ("kernels.gaussian", {"size": 0}, ValueError, "size", "below 1"),
    ("kernels.laplacian", {"neighbours": 6}, ValueError, "neighbours", "8"),
    ("kernels.sobel", {"channels": 0}, ValueError, "channels", "below 1"),
    ("kernels.sobel", {"dtype": "uint8"}, TypeError, "dtype", "uint8"),
    ("plan", {"platform": "abacus"}, ValueError, "platform", "'cuda'"),
    ("plan", {"function": jax.lax.conv}, TypeError, "function", "convjax.conv"),
    ("plan", {"x": None}, TypeError, "x", "NoneType"),
    ("plan", {"platform": "nvidia"}, ValueError, "platform", "try:      platform='cuda'"),
    ("plan", {"strides": 2}, TypeError, "strides", "try:      stride=2"),
    ("plan", {"transpose": True}, TypeError, "transpose", "try:      function=convjax.conv_transpose"),
    ("plan", {"data_format": "NHWC"}, TypeError, "data_format", "is not an argument of convjax.conv."),
    ("conv_output_shape", {"x_shape": 8}, TypeError, "x_shape", "not a shape"),
    ("conv_output_shape", {"x_shape": (1, 2.0, 3)}, TypeError, "x_shape", "2.0"),
    ("conv_output_shape", {"x_shape": (2, -4, 8, 8)}, ValueError, "x_shape", "below 0"),
    ("conv_output_shape", {"function": "conv"}, TypeError, "function", "convjax.conv"),
    ("conv_output_shape", {"strides": 2}, TypeError, "strides", "try:      stride=2"),
    ("conv_output_shape", {"transpose": True}, TypeError, "transpose", "try:      function=convjax.conv_transpose"),
]  # fmt: skip

GOOD = {
    "conv": {"x": X, "weight": W},
    "conv1d": {},
    "conv2d": {"x": X, "weight": W},
    "conv3d": {},
    "conv_transpose2d": {"x": X, "weight": WT},
    "unfold": {"x": X, "kernel_size": 3},
    "fold": {"x": COLUMNS, "output_size": 8, "kernel_size": 3},
    "init_conv": {"key": KEY, "in_channels": 4, "out_channels": 6, "kernel_size": (3, 3)},
    "kernels.box": {},
    "kernels.gaussian": {},
    "kernels.gabor": {},
    "kernels.laplacian": {},
    "kernels.sharpen": {},
    "kernels.sobel": {},
    "ndimage.uniform_filter": {"input": X},
    "ndimage.gaussian_filter": {"input": X, "sigma": 1.0},
    "ndimage.minimum_filter": {"input": X, "size": 3},
    "ndimage.maximum_filter1d": {"input": X, "size": 3},
    "ndimage.median_filter": {"input": X[0, 0], "size": 3},
    "edges.canny": {"image": X[0, 0]},
    "signal.convolve2d": {"in1": X[0, 0], "in2": W[0, 0]},
    "signal.correlation_lags": {"in1_len": 3, "in2_len": 2},
    "plan": {"x": X, "weight": W},
    "conv_output_shape": {"x_shape": X.shape, "weight": W.shape},
}


def public(name):
    function = convjax
    for part in name.split("."):
        function = getattr(function, part)
    return function


@pytest.mark.parametrize("index", range(len(TABLE)), ids=lambda i: f"{i}-{TABLE[i][0]}-{TABLE[i][3]}")
def test_each_mistake(index):
    name, wrong, error, argument, phrase = TABLE[index]
    with pytest.raises(error) as caught, jax.numpy_dtype_promotion("standard"):
        public(name)(**{**GOOD[name], **wrong})
    message = str(caught.value)
    assert type(caught.value) is error
    # plan and conv_output_shape call the function, so the message may name that one.
    named = "(plan|conv)" if name == "plan" else "(conv_output_shape|conv)" if name == "conv_output_shape" else name
    assert re.match(rf"convjax\.{named}: `{argument}` ", message)
    for part in ("got:", "expected:", "try:"):
        assert re.search(rf"^  {part} +\S", message, re.MULTILINE), message
    assert phrase in message


def test_the_table_is_long_enough_and_distinct():
    assert len(TABLE) >= 100
    assert len({(name, argument, str(wrong)) for name, wrong, _, argument, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize("name", [name for name, call in GOOD.items() if call])
def test_the_good_calls_are_good(name):
    public(name)(**GOOD[name])


def test_errors_come_at_trace_time():
    with pytest.raises(ValueError, match=r"convjax.conv2d: `groups`"):
        jax.jit(lambda x, w: convjax.conv2d(x, w, groups=3)).lower(X, W)
    with pytest.raises(TypeError, match=r"mark stride as static"):
        jax.jit(lambda x, w, s: convjax.conv2d(x, w, stride=s))(X, W, 2)
    with pytest.raises(TypeError, match=r"`size` is needed"):
        jax.jit(convjax.kernels.gaussian)(2.0)
    with pytest.raises(TypeError, match=r"mark padding as static"):
        jax.vmap(lambda p: convjax.conv2d(X, W, padding=((p, 1), (1, 1))))(jnp.arange(3))


def test_the_transposed_weight_fits():
    """Does what the message suggests."""
    calls = [
        (name, wrong) for name, wrong, *_, phrase in TABLE if "weight.transpose(" in phrase and "x, -1" not in phrase
    ]
    assert len(calls) >= 8
    for name, wrong in calls:
        with pytest.raises(ValueError, match="transpose") as caught:
            public(name)(**wrong)
        order = eval(re.search(r"weight\.transpose(\(.*?\))", str(caught.value))[1])
        public(name)(**{**wrong, "weight": wrong["weight"].transpose(order)})


def test_errors_of_python_itself_are_kept():
    with pytest.raises(TypeError, match=r"^conv2d\(\) missing 1 required positional argument: 'weight'$"):
        convjax.conv2d(X)
    with pytest.raises(TypeError, match=r"takes from 2 to 7 positional arguments but 8 were given"):
        convjax.conv2d(X, W, None, 1, 1, 1, 1, "zeros")
    with pytest.raises(TypeError, match=r"got multiple values for argument 'weight'"):
        convjax.conv2d(X, W, weight=W)
    with pytest.raises(TypeError, match="from within"):  # an error from a function that the user passes is kept too
        convjax.ndimage.generic_laplace(X, derivative2=failing)


def failing(*_):
    raise TypeError("from within")


def test_a_message_in_full():
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is the test)
        convjax.conv2d(a(28, 28), W)
    assert str(caught.value) == (
        "convjax.conv2d: `x` has the wrong number of axes.\n"
        "  got:      shape (28, 28), 2 axes\n"
        "  expected: (N, C, H, W), 4 axes, or one image (C, H, W), 3 axes\n"
        "  try:      x[None, None] for a batch of one image of one channel, or x[None] for (C, H, W) with C = 1"
    )
