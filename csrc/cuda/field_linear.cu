#include "cuda/field_linear.cuh"

#include <type_traits>

namespace nasrec::cuda {
namespace {

template <class A> struct ForwardShared {
  Factors<A> factors;
  A lines[kDepth][kLanes];
  A partial[kWarps][kLanes];
};

// A block takes a tile from the inputs to the result; z, [rows][kLanes], is in shared memory, or in `spill`.
template <class T, class A>
__global__ void __launch_bounds__(kThreads) forward(
    const FieldLinearLayer s, const FieldParts x, const WeightParts w, const T* bias, const T* gain, const T* offset,
    const A eps, T* y, T* normalized, A* rstd, A* spill) {
  extern __shared__ double storage[];
  __shared__ ForwardShared<A> shared;
  const int column = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  for (int64_t tile = blockIdx.x; tile < tiles_of(s); tile += gridDim.x) {
    const Lane lane(tile * kLanes + column, s);
    A* z = (spill == nullptr ? reinterpret_cast<A*>(storage) : spill + tile * kLanes * s.rows) + column;
    for (int64_t first = 0; first < s.rows; first += kTileRows) {
      A sum[kRowsEach] = {};
      for (int64_t k = 0; k < s.columns; k += kDepth) {
        __syncthreads();  // the stage before has been read
        for (int i = warp; i < kDepth; i += kWarps)
          shared.lines[i][column] =
              lane.live && k + i < s.columns ? widen(*field_at<const T>(x, k + i, lane)) : A(0);
        for (int i = warp; i < kTileRows; i += kWarps)
          shared.factors.line[column][i] = first + i < s.rows && k + column < s.columns
                                               ? widen(*weight_at<const T>(w, first + i, k + column))
                                               : A(0);
        __syncthreads();
        multiply(shared.factors, warp * kRowsEach, kDepth, [&](int i) { return shared.lines[i][column]; }, sum);
      }
      const int64_t mine = first + warp * kRowsEach;
#pragma unroll
      for (int r = 0; r < kRowsEach; ++r)
        if (mine + r < s.rows) z[(mine + r) * kLanes] = sum[r] + (bias == nullptr ? A(0) : widen(bias[mine + r]));
    }
    const int64_t to_y = lane.of(s.keep, s.channels), to_normalized = lane.of(s.out, s.channels);
    A mean = 0, scale = 1;
    if (s.norm) {
      A sum = 0, squares = 0;
      each_row(s.rows, [&](int64_t row) { sum += z[row * kLanes]; });
      mean = sum_of_warps(sum, shared.partial) / static_cast<A>(s.out);
      each_row(s.rows, [&](int64_t row) { squares += (z[row * kLanes] - mean) * (z[row * kLanes] - mean); });
      scale = 1 / sqrt(sum_of_warps(squares, shared.partial) / static_cast<A>(s.out) + eps);
      if (rstd != nullptr && lane.live && warp == 0) rstd[tile * kLanes + column] = scale;
    }
    if (!lane.live) continue;
    each_row(s.rows, [&](int64_t row) {
      A value = (z[row * kLanes] - mean) * scale;
      if (normalized != nullptr) narrow(value, normalized + to_normalized + row * s.channels);
      if (row >= s.keep) return;
      if (s.norm) value = value * widen(gain[row]) + widen(offset[row]);
      narrow(activate(value, s.activation), y + to_y + row * s.channels);
    });
  }
}

template <class A> int64_t shared_panel(const FieldLinearLayer& layer) {
  return panel_bytes<A>(layer, sizeof(ForwardShared<A>));
}

}  // namespace

int64_t field_linear_scratch(const FieldLinearLayer& layer) {
  const bool fits = layer.type == Element::float64 ? shared_panel<double>(layer) > 0 : shared_panel<float>(layer) > 0;
  return fits ? 0 : layer.panel_elements();
}

const char* field_linear_forward(
    const FieldLinearLayer& layer, const FieldParts& x, const WeightParts& w, const void* bias, const void* gain,
    const void* offset, double eps, void* y, void* normalized, void* rstd, void* scratch, void* stream) {
  if (layer.panel_elements() == 0) return nullptr;
  for_element(layer.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = typename Accumulate<T>::type;
    const int64_t bytes = shared_panel<A>(layer);
    forward<T, A><<<grid_size(layer.tiles()), kThreads, bytes, static_cast<cudaStream_t>(stream)>>>(
        layer, x, w, static_cast<const T*>(bias), static_cast<const T*>(gain), static_cast<const T*>(offset),
        static_cast<A>(eps), static_cast<T*>(y), static_cast<T*>(normalized), static_cast<A*>(rstd),
        bytes > 0 ? nullptr : static_cast<A*>(scratch));
  });
  return launch_error();
}

}  // namespace nasrec::cuda
