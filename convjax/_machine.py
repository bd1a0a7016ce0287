"""The machine that a program is compiled for, as far as the choice of an algorithm and its code depend on it.

No other file reads the version of jax or counts cores.
"""

import os
import platform as host
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import jaxlib

# The versions of jaxlib whose oneDNN the tests have run. A mistake in a call of it ends the process. So a newer jaxlib
# is added only after `.ci/run` has passed the step that runs it there.
FIRST_ONEDNN_JAXLIB, LAST_ONEDNN_JAXLIB = (0, 10, 0), (0, 12, 0)
AVX2_FLAGS = frozenset({"avx2", "fma"})  # of the processor, as Linux names them
AVX512_FLAGS = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
TPU_LANES = 128  # rows and columns of a TPU's matrix unit
ONEDNN_SWITCH = "CONVJAX_ONEDNN"  # environment variable: "off", or "on" for any version of jaxlib


class Machine(NamedTuple):
    """A platform, its processor, and properties of the compiler that the installed jax has for it.

    The defaults describe any CPU, including ARM and macOS, with the compiler of jax 0.10.
    """

    platform: str = "cpu"  # as XLA names it: "cpu", "cuda", "rocm", "tpu", ...
    cores: int = 2
    lanes: int = 8  # float32 numbers in a vector of XLA's loops: 256 bits, also if the processor has wider ones
    gemm_lanes: int = 16  # float32 numbers in a vector of XLA's matrix products
    registers: int = 32  # vector registers of a core
    # float32 numbers that stay in cache while a chunk is computed. Measured on 2 cores of Zen 4 and Zen 5 with 1 MiB of
    # L2 each and 32 MiB of L3.
    chunk_elements: int = 1 << 21
    # The products of a batch of matrices are shared among the cores (jax 0.11 and later).
    batched_gemm_is_parallel: bool = False
    # Traits of the compiler from jax 0.12 on. It keeps optimization barriers until it has fused loops. It transposes in
    # tiles. It makes a loop a function for one core, unless it holds a matrix product, a sort or an FFT.
    barriers_survive_fusion: bool = False
    transposes_in_tiles: bool = False
    loops_are_single_core: bool = False
    # XLA's own convolutions with a stride, or with 3x1 taps, are as fast as a copy and a matrix product (jax 0.12 and
    # later).
    strided_convolution_is_fast: bool = False
    # The dtypes that the oneDNN in jaxlib computes with on this processor.
    onednn_dtypes: tuple[str, ...] = ()
    # Whether the processor has AVX-512. Without it, oneDNN's code for matrix products and for contiguous images writes
    # outside of its memory when XLA calls it ("x64:gemm:jit" of ONEDNN_VERBOSE=1, jaxlib 0.10.2).
    onednn_has_avx512: bool = False
    # Whether a program may ask XLA for an order of axes in memory. Exported ones may not: jax guarantees nothing for
    # that call.
    constrains_layouts: bool = True

    def has_onednn(self, dtype) -> bool:
        """Whether all that the oneDNN in jaxlib has for this dtype may be called here."""
        return self.onednn_has_avx512 and self.convolves_by_onednn(dtype)

    def convolves_by_onednn(self, dtype) -> bool:
        """Whether oneDNN's convolutions with the channels last may be called here."""
        return str(dtype) in self.onednn_dtypes

    def shares_batched_gemm(self, dtype) -> bool:
        """Whether all cores compute the products of a batch of matrices together."""
        return self.batched_gemm_is_parallel or self.has_onednn(dtype)


def generic(platform: str) -> Machine:
    """The description of a platform if nothing else is known: the same in every process and on every machine."""
    jax_version = jax.__version_info__
    machine = Machine(
        platform=platform,
        batched_gemm_is_parallel=jax_version >= (0, 11),
        barriers_survive_fusion=jax_version >= (0, 12),
        transposes_in_tiles=jax_version >= (0, 12),
        loops_are_single_core=jax_version >= (0, 12),
        strided_convolution_is_fast=jax_version >= (0, 12),
    )
    # A TPU has no cache to keep a chunk in, and its compiler orders axes as it likes.
    return machine._replace(chunk_elements=1 << 40, constrains_layouts=False) if platform == "tpu" else machine


@cache
def this_machine(platform: str) -> Machine:
    """The description of the machine that this process runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if platform != "cpu":
        return generic(platform)._replace(cores=1)
    flags = _processor_flags()
    return generic(platform)._replace(
        cores=cores, onednn_dtypes=_onednn_dtypes(flags), onednn_has_avx512=flags >= AVX512_FLAGS
    )


def _onednn_dtypes(flags: frozenset[str]) -> tuple[str, ...]:
    switch = os.environ.get(ONEDNN_SWITCH, "")
    version = tuple(int(part) for part in jaxlib.__version__.split(".")[:3] if part.isdigit())
    is_tested = FIRST_ONEDNN_JAXLIB <= version <= LAST_ONEDNN_JAXLIB
    carries = host.system() == "Linux" and host.machine() == "x86_64" and (is_tested or switch == "on")
    if not carries or switch == "off":
        return ()
    # On other processors, or if told to use less of one, oneDNN may choose code that writes outside of its memory.
    if not flags >= AVX2_FLAGS or {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"} & set(os.environ):
        return ()
    # Without these instructions, a call with bfloat16 ends the process.
    return ("float32", "bfloat16") if flags >= {*AVX512_FLAGS, "avx512_bf16"} else ("float32",)


def _processor_flags() -> frozenset[str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def default_platform() -> str:
    """The platform of jax's default backend, as XLA names it."""
    backend = jax.default_backend()
    if backend != "gpu":
        return backend
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version.lower() else "cuda"


def machine_for_lowering(platform: str, *, exported: bool, partitioned: bool) -> Machine:
    """The machine to lower a program for.

    A program that runs on several hosts, or on another host, must not depend on the machine that lowers it, because all
    processes have to lower the same program. In a partitioned program, XLA would gather the operands of a call of
    oneDNN.
    """
    may_run_elsewhere = exported or jax.process_count() > 1
    machine = generic(platform) if may_run_elsewhere else this_machine(platform)
    machine = machine._replace(constrains_layouts=machine.constrains_layouts and not exported)
    return machine._replace(onednn_dtypes=()) if partitioned else machine
