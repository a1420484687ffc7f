// Products of a stored matrix with the channels of every field of a sample, channel-major (channel_major.h), and the
// gradients of matrix and bias.
#pragma once

#include "cpu/kernels/channel_major.h"

namespace nasrec {
namespace {

// A matrix as it stands or transposed: entry (row, column) at row * down + column * right.
template <class A> struct Matrix {
  const A* data;
  int64_t rows, columns, down, right;
};
template <class A> Matrix<A> stored(const A* data, int64_t rows, int64_t columns) {
  return {data, rows, columns, columns, 1};
}
template <class A> Matrix<A> transposed(const A* data, int64_t rows, int64_t columns) {
  return {data, columns, rows, 1, columns};
}

// Rows x vectors of results computed together: each entry of the matrix meets `Vectors` vectors, each vector `Rows`
// entries.
template <class A, int Rows, int Vectors>
void product_block(
    const Matrix<A>& w, int64_t row, const A* x, const A* bias, const A* add, A* out, int64_t stride, int64_t at,
    bool relu) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  vec sum[Rows][Vectors];
  const A* entry[Rows];
  for (int r = 0; r < Rows; ++r) {
    entry[r] = w.data + (row + r) * w.down;
    for (int v = 0; v < Vectors; ++v) {
      sum[r][v] = vec{} + (bias != nullptr ? bias[row + r] : A(0));
      if (add != nullptr) sum[r][v] += load<A>(add + (row + r) * stride + at + v * n);
    }
  }
  for (int64_t k = 0; k < w.columns; ++k) {
    vec line[Vectors];
    for (int v = 0; v < Vectors; ++v) line[v] = load<A>(x + k * stride + at + v * n);
    for (int r = 0; r < Rows; ++r) {
      const A factor = entry[r][k * w.right];
      for (int v = 0; v < Vectors; ++v) sum[r][v] += factor * line[v];
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) {
      if (relu) sum[r][v] = sum[r][v] < 0 ? vec{} : sum[r][v];  // NaN stays
      store<A>(out + (row + r) * stride + at + v * n, sum[r][v]);
    }
}

#if defined(__AVX512F__)
constexpr int kProductVectors = 4;  // 16 sums, 4 lines: 32 registers
#else
constexpr int kProductVectors = 2;
#endif

template <class A, int Rows>
void product_rows(
    const Matrix<A>& w, int64_t row, const A* x, const A* bias, const A* add, A* out, int64_t stride, int64_t vectors,
    bool relu) {
  constexpr int n = Lanes<A>::count;
  int64_t v = 0;
  for (; v + kProductVectors <= vectors; v += kProductVectors)
    product_block<A, Rows, kProductVectors>(w, row, x, bias, add, out, stride, v * n, relu);
  for (; v < vectors; ++v) product_block<A, Rows, 1>(w, row, x, bias, add, out, stride, v * n, relu);
}

// out [rows][stride] = W x + bias + add, for the first `vectors` vectors of fields; bias and add may be null. `add` may
// be `out`; `x` may not.
template <class A>
void product(
    const Matrix<A>& w, const A* x, const A* bias, const A* add, A* out, int64_t stride, int64_t vectors,
    bool relu = false) {
  int64_t row = 0;
  for (; row + 4 <= w.rows; row += 4) product_rows<A, 4>(w, row, x, bias, add, out, stride, vectors, relu);
  for (; row < w.rows; ++row) product_rows<A, 1>(w, row, x, bias, add, out, stride, vectors, relu);
}

// rows [channels][stride] -> out [vectors * lanes][pitch], field by field, zero behind the last channel; `pitch` is a
// whole number of vectors.
template <class A>
void to_field_major(const A* rows, int64_t channels, int64_t stride, int64_t vectors, A* out, int64_t pitch) {
  constexpr int n = Lanes<A>::count;
  for (int64_t first = 0; first < vectors * n; first += n)
    for (int64_t c = 0; c < pitch; c += n) {
      typename Lanes<A>::vec square[n];
      for (int i = 0; i < n; ++i)
        square[i] = c + i < channels ? load<A>(rows + (c + i) * stride + first) : typename Lanes<A>::vec{};
      transpose<A>(square);
      for (int i = 0; i < n; ++i) store<A>(out + (first + i) * pitch + c, square[i]);
    }
}

template <class A, int Rows>
void add_outer_products(
    const A* grad, int64_t row, int64_t stride, const A* x, int64_t fields, int64_t pitch, A* to) {
  typedef typename Lanes<A>::vec vec;
  for (int64_t c = 0; c < pitch; c += Lanes<A>::count) {
    vec sum[Rows] = {};
    for (int64_t i = 0; i < fields; ++i) {
      const vec line = load<A>(x + i * pitch + c);
      for (int r = 0; r < Rows; ++r) sum[r] += grad[(row + r) * stride + i] * line;
    }
    for (int r = 0; r < Rows; ++r) {
      A* at = to + (row + r) * pitch + c;
      store<A>(at, load<A>(at) + sum[r]);
    }
  }
}

// Gradient of a weight: to [rows][pitch] += sum over the fields of grad [rows][stride] x [fields][pitch].
template <class A>
void add_weight_gradient(
    const A* grad, int64_t rows, int64_t stride, const A* x, int64_t fields, int64_t pitch, A* to) {
  int64_t row = 0;
  for (; row + 8 <= rows; row += 8) add_outer_products<A, 8>(grad, row, stride, x, fields, pitch, to);
  for (; row < rows; ++row) add_outer_products<A, 1>(grad, row, stride, x, fields, pitch, to);
}

// Gradient of a bias: to [rows, up to whole vectors] += sums of the rows' first `vectors` vectors.
template <class A> void add_row_sums(const A* rows, int64_t count, int64_t stride, int64_t vectors, A* to) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  for (int64_t row = 0; row < count; row += n) {
    vec sum[n] = {};
    for (int i = 0; i < n && row + i < count; ++i)
      for (int64_t v = 0; v < vectors; ++v) sum[i] += load<A>(rows + (row + i) * stride + v * n);
    store<A>(to + row, load<A>(to + row) + sums_of_lanes<A>(sum));
  }
}

}  // namespace
}  // namespace nasrec
