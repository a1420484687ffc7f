// Matrix products with so few rows that packing B would cost more than the product: every element of B is read once,
// in the order in which it lies.
#pragma once

#include "cpu/kernels/lanes.h"

namespace nasrec {
namespace {
namespace few_rows {

constexpr int kMost = 4;

// C [Rows, n] = A [Rows, k] B^T + beta C, B [n, k]: four of B's rows at a time against all of A's.
template <class C, int Rows, int Across>
void dot(int64_t k, const C* a, int64_t lda, const C* b, int64_t ldb, C beta, C* c, int64_t ldc) {
  typedef typename Lanes<C>::vec vec;
  constexpr int64_t n = Lanes<C>::count;
  vec sum[Rows][Across] = {};
  int64_t p = 0;
  for (; p + n <= k; p += n) {
    vec line[Across];
#pragma GCC unroll 4
    for (int j = 0; j < Across; ++j) line[j] = load<C>(b + j * ldb + p);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      const vec factor = load<C>(a + i * lda + p);
#pragma GCC unroll 4
      for (int j = 0; j < Across; ++j) sum[i][j] += factor * line[j];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Across; ++j) {
      C total = sum_of_lanes<C>(sum[i][j]);
      for (int64_t q = p; q < k; ++q) total += a[i * lda + q] * b[j * ldb + q];
      C* to = c + i * ldc + j;
      *to = beta == 0 ? total : total + beta * *to;
    }
  }
}

// C [Rows, Vectors * n] = A [Rows, k] B + beta C: so many vectors of B's columns, line after line.
template <class C, int Rows, int Vectors>
void spread(int64_t k, const C* a, int64_t lda, const C* b, int64_t ldb, C beta, C* c, int64_t ldc) {
  typedef typename Lanes<C>::vec vec;
  constexpr int64_t n = Lanes<C>::count;
  vec sum[Rows][Vectors] = {};
  for (int64_t p = 0; p < k; ++p, b += ldb) {
    vec line[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) line[v] = load<C>(b + v * n);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      const C factor = a[i * lda + p];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[i][v] += factor * line[v];
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v) {
      C* to = c + i * ldc + v * n;
      store<C>(to, beta == 0 ? sum[i][v] : sum[i][v] + beta * load<C>(to));
    }
}

template <class C, int Rows>
void run(bool transpose_b, int64_t n, int64_t k, const C* a, int64_t lda, const C* b, int64_t ldb, C beta, C* c, int64_t ldc) {
  constexpr int64_t lanes = Lanes<C>::count;
  int64_t j = 0;
  if (transpose_b) {
    for (; j + 4 <= n; j += 4) dot<C, Rows, 4>(k, a, lda, b + j * ldb, ldb, beta, c + j, ldc);
    for (; j < n; ++j) dot<C, Rows, 1>(k, a, lda, b + j * ldb, ldb, beta, c + j, ldc);
    return;
  }
  for (; j + 4 * lanes <= n; j += 4 * lanes) spread<C, Rows, 4>(k, a, lda, b + j, ldb, beta, c + j, ldc);
  for (; j + lanes <= n; j += lanes) spread<C, Rows, 1>(k, a, lda, b + j, ldb, beta, c + j, ldc);
  for (; j < n; ++j)
    for (int i = 0; i < Rows; ++i) {
      C total = 0;
      for (int64_t p = 0; p < k; ++p) total += a[i * lda + p] * b[p * ldb + j];
      C* to = c + i * ldc + j;
      *to = beta == 0 ? total : total + beta * *to;
    }
}

// C [m, n] = A op(B) + beta C for m from 1 to kMost; A [m, k].
template <class C>
void multiply(
    bool transpose_b, int64_t m, int64_t n, int64_t k, const C* a, int64_t lda, const C* b, int64_t ldb, C beta, C* c, int64_t ldc) {
  switch (m) {
    case 1: return run<C, 1>(transpose_b, n, k, a, lda, b, ldb, beta, c, ldc);
    case 2: return run<C, 2>(transpose_b, n, k, a, lda, b, ldb, beta, c, ldc);
    case 3: return run<C, 3>(transpose_b, n, k, a, lda, b, ldb, beta, c, ldc);
    default: return run<C, kMost>(transpose_b, n, k, a, lda, b, ldb, beta, c, ldc);
  }
}

}  // namespace few_rows
}  // namespace
}  // namespace nasrec
