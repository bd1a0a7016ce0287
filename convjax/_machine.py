"""Where a program runs, as far as the choice of an algorithm and its code depend on it: one record, made here alone.

No other file reads the version of jax or counts cores.
"""

import os
from functools import cache
from typing import NamedTuple

import jax


class Machine(NamedTuple):
    """A platform, its processor, and what this jax's compiler for it does.

    The defaults are the generic record of a CPU, of ARM and macOS too, with the compiler of jax 0.10.
    """

    platform: str = "cpu"  # as XLA names it: "cpu", "cuda", "rocm", "tpu", ...
    cores: int = 2
    lanes: int = 8  # float32 numbers in a vector of XLA's loops: 256 bits, also if the processor has wider ones
    gemm_lanes: int = 16  # float32 numbers in a vector of XLA's matrix products
    registers: int = 32  # vectors that they hold
    # float32 numbers that stay in cache while a chunk of a computation is at work. Measured on 2 cores of Zen 4 and
    # Zen 5 with 1 MiB of L2 each and 32 MiB of L3.
    chunk_elements: int = 1 << 21
    # The products of a batch of matrices are shared among the cores (jax 0.11 and later).
    batched_gemm_is_parallel: bool = False
    # The compiler keeps optimization barriers until it has fused loops, transposes in tiles, and takes every loop for a
    # small one (jax 0.12 and later).
    barriers_survive_fusion: bool = False
    # Its own convolutions with a stride, or of 3x1 taps, are as fast as a copy and a product (jax 0.12 and later).
    strided_convolution_is_fast: bool = False


def generic(platform: str) -> Machine:
    """The record for a platform of which nothing else is known: one for every process and every machine."""
    jax_version = jax.__version_info__
    return Machine(
        platform=platform,
        batched_gemm_is_parallel=jax_version >= (0, 11),
        barriers_survive_fusion=jax_version >= (0, 12),
        strided_convolution_is_fast=jax_version >= (0, 12),
    )


@cache
def here(platform: str) -> Machine:
    """The record of the machine at hand."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return generic(platform)._replace(cores=cores if platform == "cpu" else 1)


def default_platform() -> str:
    """The platform of jax's default backend, as XLA names it."""
    backend = jax.default_backend()
    if backend != "gpu":
        return backend
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version.lower() else "cuda"


def serving(platform: str, *, several_hosts: bool) -> Machine:
    """The record to lower a program with. A program that runs on several hosts, or on another one, must not depend on
    the machine that lowers it: all processes have to lower the same program."""
    return generic(platform) if several_hosts else here(platform)
