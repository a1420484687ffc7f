// Softmax attention of the fields of one sample by one block. The sample stands channel-major: rows of one channel,
// `pitch` entries apart, odd, so that neither neighbouring fields nor neighbouring channels share a bank. A thread has
// one query of one head (in the second half of the backward: one key), so nothing is summed across threads.
#pragma once

#include <type_traits>

#include "cuda/launch.cuh"

namespace nasrec::cuda {

__device__ inline float power_of_two(float x) { return exp2f(x); }
__device__ inline double power_of_two(double x) { return exp2(x); }
__device__ inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double multiply_add(double a, double b, double c) { return fma(a, b, c); }

// Distance of the rows: room for the padded key, and odd.
inline __host__ __device__ int64_t pitch_of(int64_t fields) { return (fields + 1) | 1; }

// x [fields][channels] -> rows [channels][pitch], and back; all threads of the block take part.
template <class T, class A>
__device__ void to_channel_major(const T* x, int64_t fields, int64_t channels, A* rows, int64_t pitch) {
  for (int64_t i = threadIdx.x; i < fields * channels; i += blockDim.x)
    rows[i % channels * pitch + i / channels] = widen(x[i]);
}
template <class T, class A>
__device__ void from_channel_major(const A* rows, int64_t pitch, int64_t fields, int64_t channels, T* x) {
  for (int64_t i = threadIdx.x; i < fields * channels; i += blockDim.x)
    narrow(rows[i % channels * pitch + i / channels], x + i);
}

// Queries, keys and values: [heads * size][pitch] each.
template <class A> struct Attention {
  const A *q, *k, *v;
  int64_t heads, size, fields, pitch;
  A padded;  // the key and value at position `fields` count this often; 0: there are none

  __device__ int64_t keys() const { return fields + (padded > 0); }
  __device__ A natural_factor() const { return A(1) / sqrt(static_cast<A>(size)); }
  // Scores in powers of two: 2^(factor q k) = exp(q k / sqrt(size)).
  __device__ A factor() const { return A(1.4426950408889634074) * natural_factor(); }
  __device__ A times(int64_t key) const { return key < fields ? A(1) : padded; }
};

// The channels of one field of a head: in registers, or where they stand if their number is not compiled for (Size 0).
template <class A, int Size> struct Channels {
  A row[Size];
  __device__ Channels(A*, int64_t) {}
  __device__ A& operator[](int64_t c) { return row[c]; }
  __device__ void load(const A* from, int64_t pitch, int64_t) {
    for (int c = 0; c < Size; ++c) row[c] = from[c * pitch];
  }
};
template <class A> struct Channels<A, 0> {
  A* at;
  int64_t pitch;
  __device__ Channels(A* memory, int64_t pitch) : at(memory), pitch(pitch) {}
  __device__ A& operator[](int64_t c) { return at[c * pitch]; }
  __device__ void load(const A* from, int64_t, int64_t) { at = const_cast<A*>(from); }
};

// In one order of rounding everywhere, so that a score met twice is the same.
template <class A, int Size>
__device__ A product(Channels<A, Size>& x, const A* other, int64_t pitch, int64_t size) {
  A sum = x[0] * other[0];
  for (int64_t c = 1; c < (Size ? Size : size); ++c) sum = multiply_add(x[c], other[c * pitch], sum);
  return sum;
}

template <class A, int Size>
__device__ A greatest_score(const Attention<A>& x, Channels<A, Size>& q, const A* k) {
  A most = product(q, k, x.pitch, x.size);
  for (int64_t key = 1; key < x.keys(); ++key) {
    const A score = product(q, k + key, x.pitch, x.size);
    most = score > most ? score : most;  // NaN comes back by its own exponential
  }
  return most;
}

// out [heads * size][pitch]; reciprocals [heads][pitch]: 1 / sum of exponentials relative to the greatest score.
template <int Size, class A> __device__ void attend(const Attention<A>& x, A* out, A* reciprocals) {
  const int64_t size = Size ? Size : x.size;
  for (int64_t pair = threadIdx.x; pair < x.heads * x.fields; pair += blockDim.x) {
    const int64_t head = pair / x.fields, i = pair % x.fields, first = head * size * x.pitch;
    const A *k = x.k + first, *v = x.v + first;
    Channels<A, Size> q(nullptr, x.pitch), sum(out + first + i, x.pitch);
    q.load(x.q + first + i, x.pitch, size);
    for (int64_t c = 0; c < size; ++c) sum[c] = 0;
    const A most = greatest_score(x, q, k), factor = x.factor();
    A total = 0;
    for (int64_t key = 0; key < x.keys(); ++key) {
      const A e = x.times(key) * power_of_two((product(q, k + key, x.pitch, size) - most) * factor);
      total += e;
      for (int64_t c = 0; c < size; ++c) sum[c] = multiply_add(e, v[c * x.pitch + key], sum[c]);
    }
    const A reciprocal = A(1) / total;
    reciprocals[head * x.pitch + i] = reciprocal;
    for (int64_t c = 0; c < size; ++c) out[first + c * x.pitch + i] = sum[c] * reciprocal;
  }
}

// With g the gradient of the output: dv_j = sum_i p_ij g_i, ds_ij = p_ij (g_i v_j - g_i out_i), dq_i = sum_j ds_ij k_j,
// dk_j = sum_i ds_ij q_i. `grad` becomes g times the reciprocals; most and offset [heads][pitch] are work space. dk and
// dv hold the padded key's at position `fields`. Barriers stand where threads read what others wrote, but for the end.
template <int Size, class A>
__device__ void attend_backward(
    const Attention<A>& x, A* grad, const A* out, const A* reciprocals, A* most, A* offset, A* dq, A* dk, A* dv) {
  const int64_t size = Size ? Size : x.size, pitch = x.pitch;
  const A factor = x.factor(), natural = x.natural_factor();
  for (int64_t pair = threadIdx.x; pair < x.heads * x.fields; pair += blockDim.x) {
    const int64_t head = pair / x.fields, i = pair % x.fields, first = head * size * pitch;
    const A *k = x.k + first, *v = x.v + first;
    Channels<A, Size> q(nullptr, pitch), g(nullptr, pitch), sum(dq + first + i, pitch);
    A dot = 0;
    for (int64_t c = 0; c < size; ++c) {
      const int64_t at = first + c * pitch + i;
      grad[at] *= reciprocals[head * pitch + i];
      dot = multiply_add(grad[at], out[at], dot);
      sum[c] = 0;
    }
    q.load(x.q + first + i, pitch, size);
    g.load(grad + first + i, pitch, size);
    const A top = greatest_score(x, q, k);
    most[head * pitch + i] = top;
    offset[head * pitch + i] = dot;
    for (int64_t key = 0; key < x.keys(); ++key) {
      const A e = x.times(key) * power_of_two((product(q, k + key, pitch, size) - top) * factor);
      const A ds = e * (product(g, v + key, pitch, size) - dot);
      for (int64_t c = 0; c < size; ++c) sum[c] = multiply_add(ds, k[c * pitch + key], sum[c]);
    }
    for (int64_t c = 0; c < size; ++c) dq[first + c * pitch + i] = natural * sum[c];
  }
  __syncthreads();
  for (int64_t pair = threadIdx.x; pair < x.heads * x.keys(); pair += blockDim.x) {
    const int64_t head = pair / x.keys(), key = pair % x.keys(), first = head * size * pitch;
    const A *q = x.q + first, *g = grad + first, times = x.times(key);
    Channels<A, Size> k(nullptr, pitch), v(nullptr, pitch), k_sum(dk + first + key, pitch), v_sum(dv + first + key, pitch);
    k.load(x.k + first + key, pitch, size);
    v.load(x.v + first + key, pitch, size);
    for (int64_t c = 0; c < size; ++c) k_sum[c] = v_sum[c] = 0;
    for (int64_t i = 0; i < x.fields; ++i) {
      const A e = times * power_of_two((product(k, q + i, pitch, size) - most[head * pitch + i]) * factor);
      const A ds = e * (product(v, g + i, pitch, size) - offset[head * pitch + i]);
      for (int64_t c = 0; c < size; ++c) {
        k_sum[c] = multiply_add(ds, q[c * pitch + i], k_sum[c]);
        v_sum[c] = multiply_add(e, g[c * pitch + i], v_sum[c]);
      }
    }
    for (int64_t c = 0; c < size; ++c) {
      dk[first + c * pitch + key] = natural * k_sum[c];
      dv[first + c * pitch + key] = v_sum[c];
    }
  }
}

// Calls run with an integral constant of the head size, 0 for one that is not compiled for.
template <class Run> void for_head_size(int64_t size, const Run& run) {
  switch (size) {
    case 2: return run(std::integral_constant<int, 2>());
    case 4: return run(std::integral_constant<int, 4>());
    default: return run(std::integral_constant<int, 0>());
  }
}

}  // namespace nasrec::cuda
