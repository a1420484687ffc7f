// CPU kernels of table lookups on raw pointers; embedding.cpp is compiled once per instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// One table for each field: rows[j] rows, `strides[j]` elements apart.
template <class T> struct Tables {
  T* const* data;
  const int64_t* rows;
  const int64_t* strides;
  int64_t count;
};

// Gradients of one field's rows and where equal ids stand: keys hold id << 32 | sample, sorted, so that the samples of
// an id are neighbours in ascending order. The gradient of a sample is `stride` elements behind that of the one before.
template <class T> struct RowGradients {
  const uint64_t* keys;
  int64_t count;
  const T* data;
  int64_t stride;
};

template <class T>
struct EmbeddingKernels {
  // Samples begin..end of ids [samples, fields] -> out [samples, fields, channels]. An id outside its table reads
  // nothing and leaves its row of `out` as it is; returns the place of the first such id in ids, or -1.
  int64_t (*gather)(
      const int64_t* ids, const Tables<const T>& tables, T* out, int64_t begin, int64_t end, int64_t channels);
  // Sums the gradients of each id into its row of `table`, which is all zeros. `sum` holds `channels` elements of the
  // accumulation type, here and below.
  void (*scatter)(const RowGradients<T>& grad, T* table, int64_t channels, void* sum);
  // The same one below the other: ids [count], values [count, channels]; what is left over is filled with zeros.
  // Returns how many ids there are.
  int64_t (*compact)(const RowGradients<T>& grad, int64_t* ids, T* values, int64_t channels, void* sum);
};

struct EmbeddingTable {
  EmbeddingKernels<float> float32;
  EmbeddingKernels<double> float64;
  EmbeddingKernels<uint16_t> bfloat16;  // the bits; accumulated in float32
};

NASREC_ISA_TABLES(EmbeddingTable, embedding)

}  // namespace nasrec
