// What one block computes with the fields of a sample besides attention, channel-major (attend.cuh): products with a
// stored matrix, layer norm over the channels, and their gradients. Callers put the barriers between the steps. Kernels
// use each several times: not inlined, or they take minutes to compile.
#pragma once

#include "cuda/attend.cuh"

namespace nasrec::cuda {

// A matrix as it stands or transposed: entry (row, column) at row * down + column * right.
template <class A> struct Matrix {
  const A* data;
  int64_t rows, columns, down, right;
};
template <class A> __device__ Matrix<A> stored(const A* data, int64_t rows, int64_t columns) {
  return {data, rows, columns, columns, 1};
}
template <class A> __device__ Matrix<A> transposed(const A* data, int64_t rows, int64_t columns) {
  return {data, columns, rows, 1, columns};
}

constexpr int kProductRows = 4;  // of a thread: one entry of x feeds as many multiply-adds

// out [rows][pitch] = W x + bias + add for the first `fields` fields; bias and add may be null, `add` may be `out`.
template <class A>
__device__ __noinline__ void product(
    const Matrix<A>& w, const A* x, const A* bias, const A* add, A* out, int64_t pitch, int64_t fields,
    bool relu = false) {
  const int64_t groups = (w.rows + kProductRows - 1) / kProductRows;
  for (int64_t item = threadIdx.x; item < groups * fields; item += blockDim.x) {
    const int64_t i = item % fields, first = item / fields * kProductRows;
    A sum[kProductRows];
    const A* entry[kProductRows];
#pragma unroll
    for (int r = 0; r < kProductRows; ++r) {
      const int64_t row = first + r < w.rows ? first + r : first;
      entry[r] = w.data + row * w.down;
      sum[r] = (bias != nullptr ? bias[row] : A(0)) + (add != nullptr ? add[row * pitch + i] : A(0));
    }
    for (int64_t k = 0; k < w.columns; ++k) {
      const A value = x[k * pitch + i];
#pragma unroll
      for (int r = 0; r < kProductRows; ++r) sum[r] = multiply_add(entry[r][k * w.right], value, sum[r]);
    }
#pragma unroll
    for (int r = 0; r < kProductRows; ++r)
      if (first + r < w.rows) out[(first + r) * pitch + i] = relu && sum[r] < A(0) ? A(0) : sum[r];  // NaN stays
  }
}

// to [rows][columns] += sum over the fields of grad [rows][pitch] x [columns][pitch]
template <class A>
__device__ __noinline__ void add_weight_gradient(
    const A* grad, int64_t rows, const A* x, int64_t columns, int64_t pitch, int64_t fields, A* to) {
  for (int64_t item = threadIdx.x; item < rows * columns; item += blockDim.x) {
    const A *g = grad + item / columns * pitch, *value = x + item % columns * pitch;
    A sum = 0;
    for (int64_t i = 0; i < fields; ++i) sum = multiply_add(g[i], value[i], sum);
    to[item] += sum;
  }
}

// to [rows] += sums of the rows' first `fields` entries
template <class A> __device__ __noinline__ void add_row_sums(const A* x, int64_t rows, int64_t pitch, int64_t fields, A* to) {
  for (int64_t row = threadIdx.x; row < rows; row += blockDim.x) {
    A sum = 0;
    for (int64_t i = 0; i < fields; ++i) sum += x[row * pitch + i];
    to[row] += sum;
  }
}

// x becomes (x - mean) / sqrt(variance + eps), scales [fields] 1 / sqrt(...), out = x * gain + offset.
template <class A>
__device__ __noinline__ void channel_norm(
    A* x, int64_t channels, int64_t pitch, int64_t fields, const A* gain, const A* offset, A eps, A* scales, A* out) {
  for (int64_t i = threadIdx.x; i < fields; i += blockDim.x) {
    A mean = 0, variance = 0;
    for (int64_t c = 0; c < channels; ++c) mean += x[c * pitch + i];
    mean /= static_cast<A>(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const A centred = x[c * pitch + i] - mean;
      variance = multiply_add(centred, centred, variance);
    }
    const A scale = A(1) / sqrt(variance / static_cast<A>(channels) + eps);
    scales[i] = scale;
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = c * pitch + i;
      x[at] = (x[at] - mean) * scale;
      out[at] = multiply_add(x[at], gain[c], offset[c]);
    }
  }
}

// `grad` becomes the gradient of the norm's operand; gain_terms [channels][pitch] gets grad * normed.
template <class A>
__device__ __noinline__ void channel_norm_backward(
    A* grad, const A* normed, const A* scales, int64_t channels, int64_t pitch, int64_t fields, const A* gain,
    A* gain_terms) {
  for (int64_t i = threadIdx.x; i < fields; i += blockDim.x) {
    A mean = 0, along = 0;
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = c * pitch + i;
      const A term = grad[at] * normed[at];
      gain_terms[at] = term;
      mean = multiply_add(grad[at], gain[c], mean);
      along = multiply_add(term, gain[c], along);
    }
    mean /= static_cast<A>(channels);
    along /= static_cast<A>(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = c * pitch + i;
      grad[at] = scales[i] * (grad[at] * gain[c] - mean - normed[at] * along);
    }
  }
}

}  // namespace nasrec::cuda
