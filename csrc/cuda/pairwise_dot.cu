// One block per sample. The sample (and in the backward its gradient) is staged in shared memory where it fits, else
// read through the caches.
#include "cuda/pairwise_dot.h"

#include "cuda/launch.cuh"

#include <type_traits>

namespace nasrec::cuda {
namespace {

constexpr int kThreads = 128;

__device__ inline int64_t triangle(int64_t row) { return row * (row - 1) / 2; }

// The row i of the pair at `index`: the largest i with triangle(i) <= index. The square root may be off by one.
__device__ inline int64_t row_of_pair(int64_t index) {
  int64_t row = static_cast<int64_t>((1.0 + sqrt(1.0 + 8.0 * static_cast<double>(index))) * 0.5);
  while (triangle(row) > index) --row;
  while (triangle(row + 1) <= index) ++row;
  return row;
}

// Where an element of a sample lies in the tensor that holds its row.
template <class T> __device__ T* element_at(const Rows& x, int64_t sample, int64_t row, int64_t channel, int64_t channels) {
  int part = 0;
  while (row >= x.rows[part]) row -= x.rows[part++];
  return static_cast<T*>(x.data[part]) + (sample * x.rows[part] + row) * channels + channel;
}

// A sample's rows, widened; `stride` elements apart. Odd strides keep neighbouring rows in different banks.
template <class T, bool Staged> struct SampleRows {
  using A = typename Accumulate<T>::type;
  const Rows* global;
  int64_t sample;
  const A* shared;
  int64_t channels, stride;

  __device__ A at(int64_t row, int64_t channel) const {
    if constexpr (Staged) return shared[row * stride + channel];
    return widen(*element_at<const T>(*global, sample, row, channel, channels));
  }
};

template <class T, bool Staged>
__device__ SampleRows<T, Staged> stage_rows(
    const Rows& x, int64_t sample, int64_t channels, typename Accumulate<T>::type* shared) {
  const int64_t stride = channels | 1;
  if constexpr (Staged) {
    typename Accumulate<T>::type* to = shared;
    for (int part = 0; part < x.parts; ++part) {
      const int64_t elements = x.rows[part] * channels;
      const T* from = static_cast<const T*>(x.data[part]) + sample * elements;
      for (int64_t i = threadIdx.x; i < elements; i += blockDim.x)
        to[i / channels * stride + i % channels] = widen(from[i]);
      to += x.rows[part] * stride;
    }
  }
  return {&x, sample, shared, channels, stride};
}

template <class T, bool Staged>
__global__ void forward(const Rows x, T* out, int64_t batch, int64_t rows, int64_t channels) {
  using A = typename Accumulate<T>::type;
  extern __shared__ double storage[];
  const int64_t pairs = triangle(rows);
  for (int64_t b = blockIdx.x; b < batch; b += gridDim.x) {
    const auto sample = stage_rows<T, Staged>(x, b, channels, reinterpret_cast<A*>(storage));
    __syncthreads();
    for (int64_t pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
      const int64_t i = row_of_pair(pair), j = pair - triangle(i);
      A sum = 0;
      for (int64_t k = 0; k < channels; ++k) sum += sample.at(i, k) * sample.at(j, k);
      narrow(sum, out + b * pairs + pair);
    }
    __syncthreads();  // before the next sample overwrites the stage
  }
}

// grad_x_ik = sum over j != i of g_ij x_jk, where g_ij lies at triangle(max) + min.
template <class T, bool Staged>
__global__ void backward(const T* grad, const Rows x, const Rows grad_x, int64_t batch, int64_t rows, int64_t channels) {
  using A = typename Accumulate<T>::type;
  extern __shared__ double storage[];
  const int64_t pairs = triangle(rows), elements = rows * channels;
  A* shared_grad = reinterpret_cast<A*>(storage) + rows * (channels | 1);
  for (int64_t b = blockIdx.x; b < batch; b += gridDim.x) {
    const T* g = grad + b * pairs;
    const auto sample = stage_rows<T, Staged>(x, b, channels, reinterpret_cast<A*>(storage));
    if constexpr (Staged) {
      for (int64_t p = threadIdx.x; p < pairs; p += blockDim.x) shared_grad[p] = widen(g[p]);
    }
    __syncthreads();
    const auto weight = [&](int64_t p) -> A {
      if constexpr (Staged) return shared_grad[p];
      return widen(g[p]);
    };
    for (int64_t element = threadIdx.x; element < elements; element += blockDim.x) {
      const int64_t i = element / channels, k = element % channels;
      A sum = 0;
      for (int64_t j = 0; j < i; ++j) sum += weight(triangle(i) + j) * sample.at(j, k);
      for (int64_t j = i + 1; j < rows; ++j) sum += weight(triangle(j) + i) * sample.at(j, k);
      narrow(sum, element_at<T>(grad_x, b, i, k, channels));
    }
    __syncthreads();
  }
}

}  // namespace

const char* pairwise_dot(
    Element type, const Rows& x, void* out, int64_t batch, int64_t rows, int64_t channels, void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    const int64_t bytes = rows * (channels | 1) * static_cast<int64_t>(sizeof(typename Accumulate<T>::type));
    const bool staged = bytes <= kSharedBytes;
    const auto kernel = staged ? forward<T, true> : forward<T, false>;
    kernel<<<grid_size(batch), kThreads, staged ? bytes : 0, static_cast<cudaStream_t>(stream)>>>(
        x, static_cast<T*>(out), batch, rows, channels);
  });
  return launch_error();
}

const char* pairwise_dot_backward(
    Element type, const void* grad, const Rows& x, const Rows& grad_x, int64_t batch, int64_t rows, int64_t channels,
    void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    const int64_t bytes =
        (rows * (channels | 1) + rows * (rows - 1) / 2) * static_cast<int64_t>(sizeof(typename Accumulate<T>::type));
    const bool staged = bytes <= kSharedBytes;
    const auto kernel = staged ? backward<T, true> : backward<T, false>;
    kernel<<<grid_size(batch), kThreads, staged ? bytes : 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const T*>(grad), x, grad_x, batch, rows, channels);
  });
  return launch_error();
}

}  // namespace nasrec::cuda
