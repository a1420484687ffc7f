// What every .cu file shares: the accumulation type, shared-memory budget and launch check.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

template <class T> struct Accumulate { using type = T; };
template <> struct Accumulate<__nv_bfloat16> { using type = float; };

__device__ inline float widen(float value) { return value; }
__device__ inline double widen(double value) { return value; }
__device__ inline float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

__device__ inline void narrow(float value, float* out) { *out = value; }
__device__ inline void narrow(double value, double* out) { *out = value; }
__device__ inline void narrow(float value, __nv_bfloat16* out) { *out = __float2bfloat16_rn(value); }

constexpr int64_t kSharedBytes = 48 * 1024;  // what every device grants without asking
constexpr int64_t kMaxBlocks = 1 << 20;      // kernels stride over the rest

inline unsigned grid_size(int64_t work) { return static_cast<unsigned>(work < kMaxBlocks ? work : kMaxBlocks); }

inline const char* launch_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

// Calls run with a null pointer of the element's C++ type, to choose a template.
template <class Run> void for_element(Element type, const Run& run) {
  switch (type) {
    case Element::float32: return run(static_cast<float*>(nullptr));
    case Element::float64: return run(static_cast<double*>(nullptr));
    case Element::bfloat16: return run(static_cast<__nv_bfloat16*>(nullptr));
  }
}

}  // namespace nasrec::cuda
