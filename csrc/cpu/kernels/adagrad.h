// CPU kernels of the Adagrad update on raw pointers; adagrad.cpp is compiled once per instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/embedding.h"
#include "cpu/kernels/isa_tables.h"

namespace nasrec {

struct AdagradFactors {
  double lr, eps, weight_decay;
};

// A table and its states, rows `stride` and `state_stride` elements apart. With one_a_row a row has a single state, to
// which the mean of its squared gradients is added.
template <class P, class S> struct RowStates {
  P* table;
  int64_t stride;
  S* state;
  int64_t state_stride;
  bool one_a_row;
};

// P: type of parameters and gradients, S: of the sums of squares; computed in P's accumulation type.
template <class P, class S>
struct AdagradKernels {
  // g = grad + weight_decay p;  state += g g;  p -= lr g / (sqrt(state) + eps), for `count` neighbours
  void (*update)(P* p, S* state, const P* grad, int64_t count, const AdagradFactors& factors);
  // The same for the rows of one table that ids name, each once, by the sum of its gradients (no weight decay). Ids of
  // keys begin..end, which start and end between two ids. `sum` holds `channels` elements of the accumulation type.
  void (*update_rows)(
      const RowStates<P, S>& rows, const RowGradients<P>& grad, int64_t begin, int64_t end, int64_t channels,
      const AdagradFactors& factors, void* sum);
};

struct AdagradTable {
  AdagradKernels<float, float> float32;
  AdagradKernels<double, double> float64;
  AdagradKernels<uint16_t, uint16_t> bfloat16;      // the bits; computed in float32
  AdagradKernels<uint16_t, float> bfloat16_float32;  // with states in float32
};

NASREC_ISA_TABLES(AdagradTable, adagrad)

}  // namespace nasrec
