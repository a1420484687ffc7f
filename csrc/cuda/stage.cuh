// Where a block keeps its sample: in shared memory, or, where that is too small, in a piece of global memory of its
// own, which the caches hold as well as they can. Kernels are the same for both.
#pragma once

#include "cuda/launch.cuh"

namespace nasrec::cuda {

constexpr int64_t kStagedBlocks = 528;  // four for each multiprocessor of the largest card; they stride over the rest

inline int64_t staged_blocks(int64_t samples) { return samples < kStagedBlocks ? samples : kStagedBlocks; }

// The most that a block may have of the current device's shared memory.
inline int64_t shared_limit() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess)
    return kSharedBytes;
  return bytes;
}

template <class A> __device__ A* stage_of(A* global, int64_t entries) {
  extern __shared__ double storage[];
  return global == nullptr ? reinterpret_cast<A*>(storage) : global + blockIdx.x * entries;
}

// Launches kernel(stage, arguments...) with `entries` entries of A for each block; `workspace` is used where shared
// memory is short, and may be null where it is not (see needs_workspace).
template <class A, class Kernel, class... Arguments>
void launch_staged(
    Kernel* kernel, int64_t blocks, int threads, int64_t entries, void* workspace, void* stream, Arguments... arguments) {
  const int64_t bytes = entries * static_cast<int64_t>(sizeof(A));
  const bool shared = bytes <= shared_limit();
  if (shared && bytes > kSharedBytes)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  kernel<<<static_cast<unsigned>(blocks), threads, shared ? bytes : 0, static_cast<cudaStream_t>(stream)>>>(
      shared ? nullptr : static_cast<A*>(workspace), arguments...);
}

inline bool needs_workspace(int64_t bytes) { return bytes > shared_limit(); }

}  // namespace nasrec::cuda
