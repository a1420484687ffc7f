// Three kernels: dz and the inputs' gradients tile by tile; the weight's gradient, divided over the batch; and the sums
// of those parts in a fixed order, so that results do not depend on timing.
#include "cuda/field_linear.cuh"

#include <type_traits>

namespace nasrec::cuda {
namespace {

enum { kBias, kGain, kOffset, kVectorSums };

template <class A> struct BackwardShared {
  Factors<A> factors;
  A partial[kWarps][kLanes];
};

// Sums over a tile's lanes for one row of a vector's gradient.
template <class A>
__device__ void keep_sum(A* sums, const FieldLinearLayer& s, int64_t tile, int which, int64_t row, A value) {
  const A sum = sum_of_lanes(value);
  if (threadIdx.x % kLanes == 0) sums[(tile * kVectorSums + which) * s.rows + row] = sum;
}

// dz = (g - mean(g) - normalized mean(g normalized)) rstd with g = gain d(activation), zero behind `keep`; without a
// norm d itself. Into `to`, [rows][kLanes], a thread its own entries.
template <class T, class A>
__device__ void gradient_of_z(
    const FieldLinearLayer& s, int64_t tile, const Lane& lane, const FieldParts& grad, const T* gain, const T* y,
    const T* normalized, const A* rstd, A* to, A* sums, BackwardShared<A>& shared) {
  const int64_t at_y = lane.of(s.keep, s.channels), at_normalized = lane.of(s.out, s.channels);
  const auto hat = [&](int64_t row) {
    return lane.live ? widen(normalized[at_normalized + row * s.channels]) : A(0);
  };
  A mean = 0, slope = 0;
  each_row(s.rows, [&](int64_t row) {
    A d = 0;
    if (lane.live && row < s.keep) {
      const A result = s.activation == kNone ? A(0) : widen(y[at_y + row * s.channels]);
      d = deactivate(widen(*field_at<const T>(grad, row, lane)), result, s.activation);
    }
    const A value = s.norm ? hat(row) : A(0), g = s.norm ? d * widen(gain[row]) : d;
    to[row * kLanes] = g;
    mean += g;
    slope += g * value;
    if (sums == nullptr || !s.norm) return;
    keep_sum(sums, s, tile, kGain, row, d * value);
    keep_sum(sums, s, tile, kOffset, row, d);
  });
  A scale = 1;
  if (s.norm) {
    mean = sum_of_warps(mean, shared.partial) / static_cast<A>(s.out);
    slope = sum_of_warps(slope, shared.partial) / static_cast<A>(s.out);
    scale = lane.live ? rstd[lane.sample * s.channels + lane.channel] : A(0);
  }
  each_row(s.rows, [&](int64_t row) {
    if (s.norm) to[row * kLanes] = (to[row * kLanes] - mean - hat(row) * slope) * scale;
    if (sums != nullptr) keep_sum(sums, s, tile, kBias, row, to[row * kLanes]);
  });
}

// A block forms a tile of dz, in shared memory where it fits (`in_shared`), and multiplies the weight's columns with it.
template <class T, class A>
__global__ void __launch_bounds__(kThreads) inputs_gradient(
    const FieldLinearLayer s, const FieldParts grad, const WeightParts w, const T* gain, const T* y,
    const T* normalized, const A* rstd, A* dz, const FieldParts grad_x, A* sums, bool in_shared) {
  extern __shared__ double storage[];
  __shared__ BackwardShared<A> shared;
  const int column = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  for (int64_t tile = blockIdx.x; tile < tiles_of(s); tile += gridDim.x) {
    const Lane lane(tile * kLanes + column, s);
    A* global = dz + tile * kLanes * s.rows + column;
    A* panel = in_shared ? reinterpret_cast<A*>(storage) + column : global;
    __syncthreads();  // the tile before has been read
    gradient_of_z<T, A>(s, tile, lane, grad, gain, y, normalized, rstd, panel, sums, shared);
    if (in_shared) each_row(s.rows, [&](int64_t row) { global[row * kLanes] = panel[row * kLanes]; });
    int64_t begin = 0;
    for (int part = 0; part < grad_x.count; begin += grad_x.fields[part++]) {
      if (grad_x.data[part] == nullptr) continue;
      const int64_t fields = grad_x.fields[part];
      for (int64_t first = 0; first < fields; first += kTileRows) {
        A sum[kRowsEach] = {};
        for (int64_t row = 0; row < s.rows; row += kDepth) {
          __syncthreads();  // the stage before has been read; at first, every warp's dz has been written
          for (int i = warp; i < kDepth; i += kWarps) {
            for (int k = column; k < kTileRows; k += kLanes)
              shared.factors.line[i][k] = row + i < s.rows && first + k < fields
                                              ? widen(*weight_at<const T>(w, row + i, begin + first + k))
                                              : A(0);
          }
          __syncthreads();
          const int lines = s.rows - row < kDepth ? static_cast<int>(s.rows - row) : kDepth;
          multiply(shared.factors, warp * kRowsEach, lines, [&](int i) { return panel[(row + i) * kLanes]; }, sum);
        }
        const int64_t mine = first + warp * kRowsEach;
#pragma unroll
        for (int r = 0; r < kRowsEach; ++r)
          if (lane.live && mine + r < fields) narrow(sum[r], field_at<T>(grad_x, begin + mine + r, lane));
      }
    }
  }
}

constexpr int kSquare = 64, kEach = 4;  // a block's square of rows and fields, and a thread's square within
static_assert(kThreads == (kSquare / kEach) * (kSquare / kEach) && kDepth == kLanes);

struct Squares {
  int64_t down, across, splits;
  __host__ __device__ Squares(const FieldLinearLayer& s, int64_t splits)
      : down((s.rows + kSquare - 1) / kSquare), across((s.columns + kSquare - 1) / kSquare), splits(splits) {}
  __host__ __device__ int64_t count() const { return down * across * splits; }
};

// A block adds up one square of one split: every splits-th tile of the batch.
template <class T, class A>
__global__ void __launch_bounds__(kThreads) weight_gradient(
    const FieldLinearLayer s, const A* dz, const FieldParts x, A* partial, const int64_t splits) {
  __shared__ Stage<A, kSquare> rows, fields;
  const int column = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int my_row = threadIdx.x / (kSquare / kEach) * kEach, my_field = threadIdx.x % (kSquare / kEach) * kEach;
  const Squares squares(s, splits);
  for (int64_t work = blockIdx.x; work < squares.count(); work += gridDim.x) {
    const int64_t split = work % splits, first_row = work / splits % squares.down * kSquare;
    const int64_t first_field = work / splits / squares.down * kSquare;
    A sum[kEach][kEach] = {};
    for (int64_t tile = split; tile < tiles_of(s); tile += splits) {
      const Lane lane(tile * kLanes + column, s);
      __syncthreads();  // the stage before has been read
      for (int i = warp; i < kSquare; i += kWarps) {
        const int64_t row = first_row + i, field = first_field + i;
        rows.line[column][i] = row < s.rows ? dz[(tile * s.rows + row) * kLanes + column] : A(0);
        fields.line[column][i] = lane.live && field < s.columns ? widen(*field_at<const T>(x, field, lane)) : A(0);
      }
      __syncthreads();
#pragma unroll 8
      for (int p = 0; p < kLanes; ++p) {
        A row[kEach], field[kEach];
        rows.read(p, my_row, row);
        fields.read(p, my_field, field);
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
          for (int j = 0; j < kEach; ++j) sum[i][j] += row[i] * field[j];
        }
      }
    }
    for (int i = 0; i < kEach; ++i) {
      for (int j = 0; j < kEach; ++j) {
        const int64_t row = first_row + my_row + i, field = first_field + my_field + j;
        if (row < s.rows && field < s.columns) partial[(split * s.rows + row) * s.columns + field] = sum[i][j];
      }
    }
  }
}

template <class T, class A>
__global__ void finish_weight(
    const FieldLinearLayer s, const A* partial, const WeightParts grad_w, const int64_t splits) {
  const int64_t count = s.out * s.columns, step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    const int64_t row = i / s.columns, column = i % s.columns;
    T* to = weight_at<T>(grad_w, row, column);
    if (to == nullptr) continue;
    A sum = 0;
    if (row < s.rows) {
      for (int64_t split = 0; split < splits; ++split) sum += partial[(split * s.rows + row) * s.columns + column];
    }
    narrow(sum, to);
  }
}

// A warp for each entry.
template <class T, class A>
__global__ void finish_vectors(const FieldLinearLayer s, const A* sums, T* bias, T* gain, T* offset) {
  const int column = threadIdx.x % kLanes;
  T* const vectors[kVectorSums] = {bias, gain, offset};
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kLanes; row < s.out;
       row += static_cast<int64_t>(gridDim.x) * kWarps) {
    for (int which = 0; which < kVectorSums; ++which) {
      if (vectors[which] == nullptr) continue;
      A sum = 0;
      if (row < s.rows) {
        for (int64_t tile = column; tile < tiles_of(s); tile += kLanes)
          sum += sums[(tile * kVectorSums + which) * s.rows + row];
      }
      sum = sum_of_lanes(sum);
      if (column == 0) narrow(sum, vectors[which] + row);
    }
  }
}

// Calls run(null pointer of the element's type, zero of its accumulation type).
template <class Run> const char* launch(const FieldLinearLayer& layer, const Run& run) {
  for_element(layer.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    run(tag, typename Accumulate<T>::type{});
  });
  return launch_error();
}

}  // namespace

const char* field_linear_inputs_gradient(
    const FieldLinearLayer& layer, const FieldParts& grad, const WeightParts& w, const void* gain, const void* y,
    const void* normalized, const void* rstd, void* dz, const FieldParts& grad_x, void* sums, void* stream) {
  if (layer.batch * layer.channels == 0) return nullptr;
  return launch(layer, [&](auto* tag, auto zero) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = decltype(zero);
    const int64_t bytes = panel_bytes<A>(layer, sizeof(BackwardShared<A>));
    inputs_gradient<T, A><<<grid_size(layer.tiles()), kThreads, bytes, static_cast<cudaStream_t>(stream)>>>(
        layer, grad, w, static_cast<const T*>(gain), static_cast<const T*>(y), static_cast<const T*>(normalized),
        static_cast<const A*>(rstd), static_cast<A*>(dz), grad_x, static_cast<A*>(sums), bytes > 0);
  });
}

int64_t field_linear_splits(const FieldLinearLayer& layer) {
  constexpr int64_t blocks = 256;  // about two for each multiprocessor of a large card
  const int64_t squares = Squares(layer, 1).count(), most = layer.tiles();
  const int64_t wanted = squares == 0 ? 1 : (blocks + squares - 1) / squares;
  return most == 0 ? 1 : wanted < most ? wanted : most;
}

const char* field_linear_weight_gradient(
    const FieldLinearLayer& layer, const void* dz, const FieldParts& x, void* partial, void* stream) {
  const int64_t splits = field_linear_splits(layer), blocks = Squares(layer, splits).count();
  if (blocks == 0) return nullptr;
  return launch(layer, [&](auto* tag, auto zero) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = decltype(zero);
    weight_gradient<T, A><<<grid_size(blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        layer, static_cast<const A*>(dz), x, static_cast<A*>(partial), splits);
  });
}

const char* field_linear_finish(
    const FieldLinearLayer& layer, bool for_weight, const void* partial, const WeightParts& grad_w, bool for_vectors,
    const void* sums, void* bias, void* gain, void* offset, void* stream) {
  return launch(layer, [&](auto* tag, auto zero) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = decltype(zero);
    if (for_weight && layer.out * layer.columns > 0)
      finish_weight<T, A>
          <<<grid_size((layer.out * layer.columns + kThreads - 1) / kThreads), kThreads, 0,
             static_cast<cudaStream_t>(stream)>>>(
              layer, static_cast<const A*>(partial), grad_w, field_linear_splits(layer));
    if (for_vectors && layer.out > 0)
      finish_vectors<T, A>
          <<<grid_size((layer.out + kWarps - 1) / kWarps), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
              layer, static_cast<const A*>(sums), static_cast<T*>(bias), static_cast<T*>(gain),
              static_cast<T*>(offset));
  });
}

}  // namespace nasrec::cuda
