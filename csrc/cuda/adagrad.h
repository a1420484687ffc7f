// CUDA kernels of the Adagrad update on raw device pointers. `stream` is a cudaStream_t; the current device must be the
// one that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"
#include "cuda/embedding.h"

namespace nasrec::cuda {

struct AdagradFactors {
  double lr, eps, weight_decay;
};

// Parameter, state and gradient walked together: `rows` rows of `columns` neighbours.
struct Slice {
  void* p;
  void* state;
  const void* grad;
  int64_t rows, columns, p_stride, state_stride, grad_stride;
};

// As many slices as fit among the arguments of a kernel.
struct SliceChunk {
  static constexpr int kMaxSlices = 48;
  Slice slices[kMaxSlices];
  int count;
};

// `wide_state`: float32 states beside bfloat16 parameters.
const char* adagrad(
    Element type, bool wide_state, const SliceChunk& slices, const AdagradFactors& factors, void* stream);

// The rows found of `tables`, whose states lie in `states` (with the same numbering); with one_a_row a row has a single
// state, to which the mean of its squared gradients is added.
const char* adagrad_rows(
    Element type, bool wide_state, const void* grad, const SortedIds& sorted, const FoundRows& rows,
    const TableChunk& tables, const TableChunk& states, bool one_a_row, int64_t channels,
    const AdagradFactors& factors, void* stream);

}  // namespace nasrec::cuda
