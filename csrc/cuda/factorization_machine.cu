// One thread per sample and channel: neighbouring threads read neighbouring channels of the same field.
#include "cuda/factorization_machine.h"

#include "cuda/launch.cuh"

#include <type_traits>

namespace nasrec::cuda {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void forward(const T* x, T* out, int64_t outputs, int64_t fields, int64_t channels) {
  using A = typename Accumulate<T>::type;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < outputs; i += step) {
    const T* from = x + i / channels * fields * channels + i % channels;
    A sum = 0, squares = 0;
#pragma unroll 4
    for (int64_t field = 0; field < fields; ++field) {
      const A v = widen(from[field * channels]);
      sum += v;
      squares += v * v;
    }
    narrow(sum * sum - squares, out + i);
  }
}

template <class T>
__global__ void backward(const T* grad, const T* x, T* grad_x, int64_t outputs, int64_t fields, int64_t channels) {
  using A = typename Accumulate<T>::type;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < outputs; i += step) {
    const int64_t start = i / channels * fields * channels + i % channels;
    A sum = 0;
#pragma unroll 4
    for (int64_t field = 0; field < fields; ++field) sum += widen(x[start + field * channels]);
    const A factor = 2 * widen(grad[i]);
#pragma unroll 4
    for (int64_t field = 0; field < fields; ++field) {
      const int64_t at = start + field * channels;
      narrow(factor * (sum - widen(x[at])), grad_x + at);
    }
  }
}

unsigned blocks_for(int64_t outputs) { return grid_size((outputs + kThreads - 1) / kThreads); }

}  // namespace

const char* factorization_machine(
    Element type, const void* x, void* out, int64_t batch, int64_t fields, int64_t channels, void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    forward<T><<<blocks_for(batch * channels), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const T*>(x), static_cast<T*>(out), batch * channels, fields, channels);
  });
  return launch_error();
}

const char* factorization_machine_backward(
    Element type, const void* grad, const void* x, void* grad_x, int64_t batch, int64_t fields, int64_t channels,
    void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    backward<T><<<blocks_for(batch * channels), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const T*>(grad), static_cast<const T*>(x), static_cast<T*>(grad_x), batch * channels, fields,
        channels);
  });
  return launch_error();
}

}  // namespace nasrec::cuda
