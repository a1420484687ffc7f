// Products of bfloat16 factors by the processor's own instruction, which multiplies pairs of neighbours along k and adds
// both to a float32: twice the rate of widening them. Blocked as gemm.cpp is; a pair is one 32-bit word.
#pragma once

#include "cpu/kernels/lanes.h"

#if defined(__AVX512F__)
#include <immintrin.h>

namespace nasrec {
namespace pairs {
namespace {

#define NASREC_PAIRS __attribute__((target("avx512bf16")))

constexpr int64_t kDepth = 256;    // pairs of a packed piece: a panel of B stays in the level-1 cache
constexpr int64_t kColumns = 512;  // columns of a packed piece
constexpr int kLanes = 16, kVectors = 2, kRows = 14;
constexpr int64_t kPanel = kLanes * kVectors;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }
inline int64_t pairs_of(int64_t k) { return (k + 1) / 2; }

// Where the pairs of a tile's rows lie: pair (row, p) at bytes data + row * row_stride + p * pair_stride. Where they lie
// in a matrix of odd k, the last one's second half is not of its row.
struct Factors {
  const char* data;
  int64_t row_stride, pair_stride;
};

inline int word_at(const char* from) {
  int word;
  __builtin_memcpy(&word, from, sizeof word);
  return word;
}

// C tile [Rows, Vectors * 16] = pairs of A times a packed panel [depth][kPanel], plus beta times what C holds. `half`: a
// single factor follows the last of `depth` pairs.
template <int Rows, int Vectors>
NASREC_PAIRS void tile(
    int64_t depth, bool half, Factors a, const uint32_t* panel, float beta, float* c, int64_t ldc, int64_t width) {
  __m512 sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[i][v] = _mm512_setzero_ps();
  const char* row[Rows];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) row[i] = a.data + i * a.row_stride;
  __m512bh line[Vectors];
  for (int64_t p = 0; p < depth; ++p, panel += kPanel) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) line[v] = (__m512bh)_mm512_loadu_si512(panel + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const __m512bh factor = (__m512bh)_mm512_set1_epi32(word_at(row[i] + p * a.pair_stride));
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[i][v] = _mm512_dpbf16_ps(sum[i][v], line[v], factor);
    }
  }
  if (half) {
    for (int v = 0; v < Vectors; ++v) line[v] = (__m512bh)_mm512_loadu_si512(panel + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      uint16_t single;
      __builtin_memcpy(&single, row[i] + depth * a.pair_stride, sizeof single);
      for (int v = 0; v < Vectors; ++v)
        sum[i][v] = _mm512_dpbf16_ps(sum[i][v], line[v], (__m512bh)_mm512_set1_epi32(single));
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      const int64_t left = width - v * kLanes;
      const __mmask16 mask = left >= kLanes ? 0xffff : left <= 0 ? 0 : (1u << left) - 1;
      float* to = c + i * ldc + v * kLanes;
      const __m512 old = beta == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, to);
      _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(_mm512_set1_ps(beta), old, sum[i][v]));
    }
  }
}

typedef void (*Tile)(int64_t, bool, Factors, const uint32_t*, float, float*, int64_t, int64_t);

template <int Vectors, int Rows = kRows> Tile tile_of(int64_t rows) {
  if constexpr (Rows == 1) {
    return tile<1, Vectors>;
  } else {
    return rows >= Rows ? tile<Rows, Vectors> : tile_of<Vectors, Rows - 1>(rows);
  }
}

// Lines [k] of `width` columns into pairs of lines [pairs_of(k)], `stride` words apart, zeros behind `width` up to
// `padded` and behind the last line.
inline void pack_lines(
    const uint16_t* from, int64_t from_stride, int64_t k, int64_t width, int64_t padded, int64_t stride, uint32_t* to) {
  for (int64_t p = 0; p < k; p += 2, to += stride) {
    const uint16_t *low = from + p * from_stride, *high = low + from_stride;
    if (p + 1 < k)
      for (int64_t j = 0; j < width; ++j) to[j] = low[j] | static_cast<uint32_t>(high[j]) << 16;
    else
      for (int64_t j = 0; j < width; ++j) to[j] = low[j];
    for (int64_t j = width; j < padded; ++j) to[j] = 0;
  }
}

// The same of a matrix stored with its columns along the rows: [width, k].
inline void pack_transposed(const uint16_t* from, int64_t from_stride, int64_t k, int64_t width, uint32_t* to) {
  const int64_t whole = k / 2;
  int64_t p = 0;
  for (; p + kLanes <= whole; p += kLanes) {
    for (int64_t j = 0; j < kPanel; j += kLanes) {
      Lanes<float>::vec square[kLanes];  // moved only
      for (int64_t i = 0; i < kLanes; ++i) {
        square[i] = Lanes<float>::vec{};
        if (j + i < width) __builtin_memcpy(&square[i], from + (j + i) * from_stride + 2 * p, sizeof square[i]);
      }
      transpose<float>(square);
      for (int64_t i = 0; i < kLanes; ++i) __builtin_memcpy(to + (p + i) * kPanel + j, &square[i], sizeof square[i]);
    }
  }
  for (; p < pairs_of(k); ++p) {
    for (int64_t j = 0; j < kPanel; ++j) {
      uint32_t word = 0;
      if (j < width) __builtin_memcpy(&word, from + j * from_stride + 2 * p, p < whole ? 4 : 2);
      to[p * kPanel + j] = word;
    }
  }
}

int64_t scratch_bytes(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = smaller(pairs_of(k), kDepth);
  return depth * (round_up(smaller(n, kColumns), kPanel) + round_up(m, kLanes)) * static_cast<int64_t>(sizeof(uint32_t));
}

inline void multiply(
    int64_t m, int64_t columns, int64_t k, bool packed, Factors a, const uint32_t* b, float beta, float* c, int64_t ldc) {
  const bool half = !packed && k % 2 == 1;
  const int64_t depth = half ? k / 2 : pairs_of(k), blocks = (m + kRows - 1) / kRows;
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t width = smaller(kPanel, columns - j);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t first = m * block / blocks, rows = m * (block + 1) / blocks - first;
      const Tile run = width > kLanes ? tile_of<kVectors>(rows) : tile_of<1>(rows);
      const Factors factors = {a.data + first * a.row_stride, a.row_stride, a.pair_stride};
      run(depth, half, factors, b + j * pairs_of(k), beta, c + first * ldc + j, ldc, width);
    }
  }
}

void run(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const uint16_t* a, int64_t lda,
    const uint16_t* b, int64_t ldb, float beta, float* c, int64_t ldc, void* scratch) {
  uint32_t* packed_b = static_cast<uint32_t*>(scratch);
  uint32_t* packed_a = packed_b + smaller(pairs_of(k), kDepth) * round_up(smaller(n, kColumns), kPanel);
  const int64_t line = round_up(m, kLanes), word = sizeof(uint32_t), element = sizeof(uint16_t);
  for (int64_t p = 0; p < k; p += 2 * kDepth) {
    const int64_t depth = smaller(2 * kDepth, k - p);
    Factors factors = {reinterpret_cast<const char*>(a + p), lda * element, word};
    if (transpose_a) {
      pack_lines(a + p * lda, lda, depth, m, m, line, packed_a);
      factors = {reinterpret_cast<const char*>(packed_a), word, line * word};
    }
    for (int64_t j = 0; j < n; j += kColumns) {
      const int64_t columns = smaller(kColumns, n - j);
      for (int64_t q = 0; q < columns; q += kPanel) {
        const int64_t width = smaller(kPanel, columns - q);
        uint32_t* panel = packed_b + q * pairs_of(depth);
        transpose_b ? pack_transposed(b + (j + q) * ldb + p, ldb, depth, width, panel)
                    : pack_lines(b + p * ldb + j + q, ldb, depth, width, kPanel, kPanel, panel);
      }
      multiply(m, columns, depth, transpose_a, factors, packed_b, p == 0 ? beta : 1, c + j, ldc);
    }
  }
}

inline bool supported() { return __builtin_cpu_supports("avx512bf16"); }

}  // namespace
}  // namespace pairs
}  // namespace nasrec

#endif
