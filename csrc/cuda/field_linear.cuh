// What forward and backward of the linear map along the fields share on the device. A block has eight warps, and a lane
// of every warp one sample's channel, so that loads of neighbouring channels and samples are side by side for any
// embedding size. Warp g owns rows 8 g .. 8 g + 7 of every 64: a thread alone writes and reads its entries of a panel.
#pragma once

#include "cuda/field_linear.h"
#include "cuda/launch.cuh"

namespace nasrec::cuda {
namespace {

constexpr int kLanes = FieldLinearLayer::kLanes;
constexpr int kWarps = 8, kThreads = kWarps * kLanes;
constexpr int kRowsEach = 8, kTileRows = kWarps * kRowsEach;
constexpr int kDepth = 32;  // lines of a stage
constexpr unsigned kAll = 0xffffffff;

enum { kNone, kRelu, kSigmoid };

// As FieldLinearLayer::tiles, which is for the host.
__device__ inline int64_t tiles_of(const FieldLinearLayer& s) { return (s.batch * s.channels + kLanes - 1) / kLanes; }

template <class A> __device__ A activate(A x, int activation) {
  if (activation == kRelu) return x < 0 ? A(0) : x;
  if (activation == kSigmoid) return 1 / (1 + exp(-x));
  return x;
}

template <class A> __device__ A deactivate(A grad, A y, int activation) {
  if (activation == kRelu) return y <= 0 ? A(0) : grad;
  if (activation == kSigmoid) return grad * (1 - y) * y;
  return grad;
}

// A lane's sample and channel.
struct Lane {
  int64_t sample, channel;
  bool live;
  __device__ Lane(int64_t index, const FieldLinearLayer& s) {
    live = index < s.batch * s.channels;
    sample = live ? index / s.channels : 0;
    channel = live ? index % s.channels : 0;
  }
  // Where the lane's row 0 lies in a contiguous [batch, rows, channels].
  __device__ int64_t of(int64_t rows, int64_t channels) const { return sample * rows * channels + channel; }
};

// A field counted over all parts.
template <class T> __device__ T* field_at(const FieldParts& x, int64_t field, const Lane& lane) {
  int part = 0;
  while (field >= x.fields[part]) field -= x.fields[part++];
  return static_cast<T*>(x.data[part]) + lane.sample * x.sample_stride[part] + field * x.field_stride[part] +
         lane.channel;
}

// A column counted over all pieces; null in a piece that is absent.
template <class T> __device__ T* weight_at(const WeightParts& w, int64_t row, int64_t column) {
  int piece = 0;
  while (column >= w.columns[piece]) column -= w.columns[piece++];
  return w.data[piece] == nullptr ? nullptr : static_cast<T*>(w.data[piece]) + row * w.stride[piece] + column;
}

// Neighbours that one load takes from shared memory: loads there bound these products.
template <class A> struct __align__(16) Neighbours {
  static constexpr int kCount = 16 / sizeof(A);
  A value[kCount];
};

// Lines of `Width` factors, of which a thread reads neighbours. The padding spreads a column over the banks.
template <class A, int Width> struct __align__(16) Stage {
  A line[kDepth][Width + Neighbours<A>::kCount];

  // Entries first .. first + Count - 1 of a line; `first` is a multiple of what one load takes.
  template <int Count> __device__ void read(int i, int first, A (&to)[Count]) const {
#pragma unroll
    for (int r = 0; r < Count; r += Neighbours<A>::kCount) {
      const Neighbours<A> loaded = *reinterpret_cast<const Neighbours<A>*>(&line[i][first + r]);
#pragma unroll
      for (int n = 0; n < Neighbours<A>::kCount; ++n) to[r + n] = loaded.value[n];
    }
  }
};

template <class A> using Factors = Stage<A, kTileRows>;

// sum[r] gains factor (line, first + r) times x(line), over `lines` lines.
template <class A, class X>
__device__ void multiply(const Factors<A>& factors, int first, int lines, const X& x, A (&sum)[kRowsEach]) {
#pragma unroll 8
  for (int i = 0; i < lines; ++i) {
    const A value = x(i);
    A row[kRowsEach];
    factors.read(i, first, row);
#pragma unroll
    for (int r = 0; r < kRowsEach; ++r) sum[r] += row[r] * value;
  }
}

// Calls body(row) for the rows of this thread's warp below `rows`.
template <class Body> __device__ void each_row(int64_t rows, const Body& body) {
  for (int64_t first = static_cast<int64_t>(threadIdx.x / kLanes) * kRowsEach; first < rows; first += kTileRows) {
#pragma unroll
    for (int r = 0; r < kRowsEach; ++r)
      if (first + r < rows) body(first + r);
  }
}

// The sum over the block's warps for this thread's lane. All threads must call it.
template <class A> __device__ A sum_of_warps(A value, A (&partial)[kWarps][kLanes]) {
  __syncthreads();  // the sums of the call before have been read
  partial[threadIdx.x / kLanes][threadIdx.x % kLanes] = value;
  __syncthreads();
  A sum = 0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) sum += partial[i][threadIdx.x % kLanes];
  return sum;
}

// The sum over the warp's lanes, in every lane.
template <class A> __device__ A sum_of_lanes(A value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kAll, value, offset);
  return value;
}

// Bytes of shared memory for a panel of a tile beside a kernel's fixed `used` bytes; 0 where it does not fit.
template <class A> int64_t panel_bytes(const FieldLinearLayer& layer, int64_t used) {
  const int64_t bytes = layer.rows * kLanes * static_cast<int64_t>(sizeof(A));
  return used + bytes <= kSharedBytes ? bytes : 0;
}

}  // namespace
}  // namespace nasrec::cuda
