// CUDA kernels of the linear map along the fields on raw device pointers. `stream` is a cudaStream_t; the current
// device must be the one that holds the data. Each returns null, or the text of the CUDA error.
#pragma once

#include <cstdint>

#include "cuda/element.h"

namespace nasrec::cuda {

// [batch, fields, channels] in up to kMost tensors, channels side by side; data null: absent.
struct FieldParts {
  static constexpr int kMost = 8;
  void* data[kMost];
  int64_t fields[kMost], sample_stride[kMost], field_stride[kMost];
  int count;
};

// The weight [out, columns] in up to kMost pieces, columns side by side; data null: absent.
struct WeightParts {
  static constexpr int kMost = 8;
  void* data[kMost];
  int64_t columns[kMost], stride[kMost];
  int count;
};

struct FieldLinearLayer {
  Element type;
  int64_t batch, channels, columns, rows, out, keep;  // rows: those of the weight that the result depends on
  bool norm;
  int activation;  // 0 none, 1 relu, 2 sigmoid

  // The batch's channels are worked on in tiles of kLanes neighbours of [batch, channels].
  static constexpr int64_t kLanes = 32;
  int64_t tiles() const { return (batch * channels + kLanes - 1) / kLanes; }
  // Elements of the accumulation type that hold a number for each row and lane.
  int64_t panel_elements() const { return tiles() * kLanes * rows; }
};

// Elements of scratch memory that the forward needs: none where a tile fits into shared memory.
int64_t field_linear_scratch(const FieldLinearLayer& layer);

// bias, gain, offset [out] null where absent -> y [batch, keep, channels]; normalized [batch, out, channels] and rstd
// [batch, channels] (accumulation type) or null.
const char* field_linear_forward(
    const FieldLinearLayer& layer, const FieldParts& x, const WeightParts& w, const void* bias, const void* gain,
    const void* offset, double eps, void* y, void* normalized, void* rstd, void* scratch, void* stream);

// grad: one part [batch, keep, channels]; y, normalized, rstd: as the forward left them, null where it has no
// activation or norm -> dz [panel_elements()], the inputs' gradients, and unless null the sums of each tile for bias,
// gain and offset [tiles(), 3, rows].
const char* field_linear_inputs_gradient(
    const FieldLinearLayer& layer, const FieldParts& grad, const WeightParts& w, const void* gain, const void* y,
    const void* normalized, const void* rstd, void* dz, const FieldParts& grad_x, void* sums, void* stream);

// How many parts the sum over the batch is divided into, and the weight's gradient as [splits, rows, columns].
int64_t field_linear_splits(const FieldLinearLayer& layer);
const char* field_linear_weight_gradient(
    const FieldLinearLayer& layer, const void* dz, const FieldParts& x, void* partial, void* stream);

// The sums over splits (for_weight) and tiles (for_vectors), rounded; zeros in rows that the result does not depend on.
// Of bias, gain and offset any may be null.
const char* field_linear_finish(
    const FieldLinearLayer& layer, bool for_weight, const void* partial, const WeightParts& grad_w, bool for_vectors,
    const void* sums, void* bias, void* gain, void* offset, void* stream);

}  // namespace nasrec::cuda
