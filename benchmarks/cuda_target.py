"""NVIDIA cards as XLA's compiler wants them described, to compile for one where there is none.

`python -m benchmarks.cuda_target h200` prints the description, a `GpuTargetConfigProto` as text. The compiler gives no
estimate of time for it.
"""

import sys

# The figures of NVIDIA's data sheets for the SXM cards, and of its CUDA C++ programming guide for these compute
# capabilities.
CARDS = {
    "a100": {
        "name": "NVIDIA A100-SXM4-80GB",
        "capability": (8, 0),
        "multiprocessors": 108,
        "lanes": 64,  # float32 numbers that a multiprocessor computes at a time
        "bytes_per_second": 2_039_000_000_000,
        "cache_bytes": 40 << 20,
        "clock_ghz": 1.41,
        "memory_bytes": 80 << 30,
        "shared_bytes": 164 << 10,  # of a multiprocessor
    },
    "h200": {
        "name": "NVIDIA H200",
        "capability": (9, 0),
        "multiprocessors": 132,
        "lanes": 128,
        "bytes_per_second": 4_800_000_000_000,
        "cache_bytes": 50 << 20,
        "clock_ghz": 1.98,
        "memory_bytes": 141_000_000_000,
        "shared_bytes": 228 << 10,
    },
}
RESERVED_SHARED_BYTES = 1 << 10  # of each block, from the shared memory of its multiprocessor
CUDNN = (9, 8, 0)  # the version that jax 0.10 asks for at least


def text(card: str) -> str:
    """The description of a card."""
    about = CARDS[card]
    major, minor = about["capability"]
    return f"""\
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: {48 << 10}
  shared_memory_per_block_optin: {about["shared_bytes"] - RESERVED_SHARED_BYTES}
  shared_memory_per_core: {about["shared_bytes"]}
  threads_per_core_limit: 2048
  core_count: {about["multiprocessors"]}
  fpus_per_core: {about["lanes"]}
  block_dim_limit_x: {2**31 - 1}
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {about["bytes_per_second"]}
  l2_cache_size: {about["cache_bytes"]}
  clock_rate_ghz: {about["clock_ghz"]}
  device_memory_size: {about["memory_bytes"]}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: {CUDNN[0]} minor: {CUDNN[1]} patch: {CUDNN[2]} }}
device_description_str: "{about["name"]}"
"""


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CARDS:
        print(f"python -m benchmarks.cuda_target CARD: one of {', '.join(CARDS)}", file=sys.stderr)
        sys.exit(2)
    print(text(sys.argv[1]), end="")
