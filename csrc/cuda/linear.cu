// Forward and dz: one block per row, its units strided over the threads, each of which meets the same units in every
// pass; that is what lets results lie on top of operands. Sums over the batch: a block owns a strip of columns and adds
// its rows in a fixed order.
#include "cuda/linear.h"

#include "cuda/launch.cuh"

#include <type_traits>

namespace nasrec::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr int kStrip = 32, kLines = 16;  // columns and rows of a block of `sums`

enum { kNone, kRelu, kSigmoid };

template <class A> __device__ A activate(A x, int activation) {
  if (activation == kRelu) return x < 0 ? A(0) : x;
  if (activation == kSigmoid) return 1 / (1 + exp(-x));
  return x;
}

template <class A> __device__ A deactivate(A grad, A y, int activation) {
  if (activation == kRelu) return y <= 0 ? A(0) : grad;
  if (activation == kSigmoid) return grad * (1 - y) * y;
  return grad;
}

// The sum over the block, in every thread. All threads must call it.
template <class A> __device__ A block_sum(A value) {
  __shared__ A partial[kThreads / kWarp];
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffff, value, offset);
  __syncthreads();  // the sums of the call before have been read
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  A sum = 0;
  for (int i = 0; i < kThreads / kWarp; ++i) sum += partial[i];
  return sum;
}

template <class T, class A>
__global__ void forward(
    int64_t rows, int64_t width, int64_t keep, bool norm, int activation, const T* z, const T* bias, const T* gain,
    const T* offset, A eps, T* y, T* normalized, A* rstd) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* from = z + row * width;
    const auto biased = [&](int64_t j) { return widen(from[j]) + (bias == nullptr ? A(0) : widen(bias[j])); };
    if (!norm) {
      for (int64_t j = threadIdx.x; j < keep; j += kThreads) narrow(activate<A>(biased(j), activation), y + row * keep + j);
      continue;
    }
    A sum = 0;
    for (int64_t j = threadIdx.x; j < width; j += kThreads) sum += biased(j);
    const A mean = block_sum(sum) / static_cast<A>(width);
    A squares = 0;
    for (int64_t j = threadIdx.x; j < width; j += kThreads) squares += (biased(j) - mean) * (biased(j) - mean);
    const A scale = 1 / sqrt(block_sum(squares) / static_cast<A>(width) + eps);
    if (rstd != nullptr && threadIdx.x == 0) rstd[row] = scale;
    for (int64_t j = threadIdx.x; j < width; j += kThreads) {
      const A v = (biased(j) - mean) * scale;
      if (j < keep) narrow(activate<A>(v * widen(gain[j]) + widen(offset[j]), activation), y + row * keep + j);
      if (normalized != nullptr) narrow(v, normalized + row * width + j);
    }
  }
}

// dz = (g - mean(g) - normalized mean(g normalized)) rstd with g = gain d(activation), zero behind `keep`.
template <class T, class A>
__global__ void backward(
    int64_t rows, int64_t width, int64_t keep, bool norm, int activation, const T* grad, int64_t grad_stride,
    const T* gain, const T* y, const T* normalized, const A* rstd, T* dz) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const auto d = [&](int64_t j) {
      const A result = activation == kNone ? A(0) : widen(y[row * keep + j]);
      return deactivate<A>(widen(grad[row * grad_stride + j]), result, activation);
    };
    if (!norm) {
      for (int64_t j = threadIdx.x; j < keep; j += kThreads) narrow(d(j), dz + row * width + j);
      continue;
    }
    const T* hat = normalized + row * width;
    A sum = 0, product = 0;
    for (int64_t j = threadIdx.x; j < keep; j += kThreads) {
      const A g = d(j) * widen(gain[j]);
      sum += g;
      product += g * widen(hat[j]);
    }
    const A mean = block_sum(sum) / static_cast<A>(width);
    const A slope = block_sum(product) / static_cast<A>(width);
    for (int64_t j = threadIdx.x; j < width; j += kThreads) {
      const A g = j < keep ? d(j) * widen(gain[j]) : A(0);
      narrow((g - mean - widen(hat[j]) * slope) * rstd[row], dz + row * width + j);
    }
  }
}

template <class T, class A>
__global__ void sums(
    int64_t rows, int64_t width, int64_t keep, int activation, const T* grad, int64_t grad_stride, const T* y,
    const T* normalized, const T* dz, T* bias, T* gain, T* offset) {
  __shared__ A partial[3][kLines][kStrip];
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kStrip; first < width; first += static_cast<int64_t>(gridDim.x) * kStrip) {
    const int64_t j = first + threadIdx.x;
    A of_bias = 0, of_gain = 0, of_offset = 0;
    if (j < width) {
      for (int64_t row = threadIdx.y; row < rows; row += kLines) {
        if (bias != nullptr) of_bias += widen(dz[row * width + j]);
        if (j >= keep || (gain == nullptr && offset == nullptr)) continue;
        const A result = activation == kNone ? A(0) : widen(y[row * keep + j]);
        const A d = deactivate<A>(widen(grad[row * grad_stride + j]), result, activation);
        of_offset += d;
        of_gain += d * widen(normalized[row * width + j]);
      }
    }
    partial[0][threadIdx.y][threadIdx.x] = of_bias;
    partial[1][threadIdx.y][threadIdx.x] = of_gain;
    partial[2][threadIdx.y][threadIdx.x] = of_offset;
    __syncthreads();
    T* const to[3] = {bias, gain, offset};
    if (threadIdx.y < 3 && j < width && to[threadIdx.y] != nullptr) {
      A sum = 0;
      for (int line = 0; line < kLines; ++line) sum += partial[threadIdx.y][line][threadIdx.x];
      narrow(sum, to[threadIdx.y] + j);
    }
    __syncthreads();  // before the next strip overwrites the partial sums
  }
}

// `run` with a null pointer of the element's type and a zero of its accumulation type.
template <class Run> const char* launch(const LinearLayer& layer, const Run& run) {
  for_element(layer.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    run(tag, typename Accumulate<T>::type{});
  });
  return launch_error();
}

}  // namespace

const char* linear_forward(
    const LinearLayer& l, const void* z, const void* bias, const void* gain, const void* offset, double eps, void* y,
    void* normalized, void* rstd, void* stream) {
  if (l.rows == 0) return nullptr;
  return launch(l, [&](auto* tag, auto zero) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = decltype(zero);
    forward<T, A><<<grid_size(l.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        l.rows, l.width, l.keep, l.norm, l.activation, static_cast<const T*>(z), static_cast<const T*>(bias),
        static_cast<const T*>(gain), static_cast<const T*>(offset), static_cast<A>(eps), static_cast<T*>(y),
        static_cast<T*>(normalized), static_cast<A*>(rstd));
  });
}

const char* linear_backward(
    const LinearLayer& l, const void* grad, int64_t grad_stride, const void* gain, const void* y,
    const void* normalized, const void* rstd, void* dz, void* stream) {
  if (l.rows == 0) return nullptr;
  return launch(l, [&](auto* tag, auto zero) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = decltype(zero);
    backward<T, A><<<grid_size(l.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        l.rows, l.width, l.keep, l.norm, l.activation, static_cast<const T*>(grad), grad_stride,
        static_cast<const T*>(gain), static_cast<const T*>(y), static_cast<const T*>(normalized),
        static_cast<const A*>(rstd), static_cast<T*>(dz));
  });
}

const char* linear_sums(
    const LinearLayer& l, const void* grad, int64_t grad_stride, const void* y, const void* normalized, const void* dz,
    void* bias, void* gain, void* offset, void* stream) {
  if (l.width == 0) return nullptr;
  return launch(l, [&](auto* tag, auto zero) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = decltype(zero);
    sums<T, A><<<grid_size((l.width + kStrip - 1) / kStrip), dim3(kStrip, kLines), 0, static_cast<cudaStream_t>(stream)>>>(
        l.rows, l.width, l.keep, l.activation, static_cast<const T*>(grad), grad_stride, static_cast<const T*>(y),
        static_cast<const T*>(normalized), static_cast<const T*>(dz), static_cast<T*>(bias), static_cast<T*>(gain),
        static_cast<T*>(offset));
  });
}

}  // namespace nasrec::cuda
