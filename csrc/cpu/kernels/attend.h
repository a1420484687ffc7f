// Softmax attention of the fields of one sample over themselves, channel-major (channel_major.h): lanes are neighbouring
// queries, keys are broadcast one by one, so that neither scores nor softmax need a sum across lanes.
#pragma once

#include "cpu/kernels/channel_major.h"
#include "cpu/kernels/exp2.h"

namespace nasrec {
namespace {

// Queries, keys and values of a sample: [heads * size][stride] each, with entries for fields 0 .. fields - 1.
template <class A> struct Attention {
  const A *q, *k, *v;
  int64_t heads, size, fields, stride;
  A padded;      // the key and value at position `fields` count this often; 0: there are none
  bool bounded;  // scores_bounded: no shift of the scores is needed

  int64_t keys() const { return fields + (padded > 0); }
  // Scores in powers of two: 2^(factor q k) = exp(q k / sqrt(size)).
  A factor() const { return A(1.4426950408889634074) * natural_factor(); }
  A natural_factor() const { return A(1 / __builtin_sqrt(static_cast<double>(size))); }
};

// Whether no |score|, in powers of two, can exceed 32: then sums of 2^score neither overflow nor lose small gradients,
// and the pass that looks for the greatest score is saved. Any infinity answers no; NaN needs no shift to spread.
template <class A> bool scores_bounded(const Attention<A>& x) {
  typedef typename Lanes<A>::vec vec;
  const auto greatest = [&](const A* rows) {
    vec most{};
    for (int64_t i = 0; i < x.heads * x.size * x.stride; i += Lanes<A>::count) {
      const vec v = load<A>(rows + i);
      most = greater<A>(most, greater<A>(v, -v));
    }
    A out = 0;
    for (int lane = 0; lane < Lanes<A>::count; ++lane) out = most[lane] > out ? most[lane] : out;
    return out;
  };
  return greatest(x.q) * greatest(x.k) * static_cast<A>(x.size) * x.factor() <= 32;
}

// The channels of a head in registers, or in memory where their number is not known when compiling (Size = 0).
template <class A, int Size> struct Channels {
  typename Lanes<A>::vec row[Size];
  explicit Channels(A*) {}
  typename Lanes<A>::vec& operator[](int64_t c) { return row[c]; }
};
template <class A> struct Channels<A, 0> {
  typename Lanes<A>::vec* row;
  explicit Channels(A* memory) : row(reinterpret_cast<typename Lanes<A>::vec*>(memory)) {}
  typename Lanes<A>::vec& operator[](int64_t c) { return row[c]; }
};

// Calls run.template operator()<Size>() with the head size, 0 for one that is not compiled for.
template <class Run> void for_head_size(int64_t size, const Run& run) {
  switch (size) {
    case 1: return run.template operator()<1>();
    case 2: return run.template operator()<2>();
    case 4: return run.template operator()<4>();
    case 8: return run.template operator()<8>();
    default: return run.template operator()<0>();
  }
}

// One head: its rows of keys, and queries of one vector of fields in `q`.
template <class A, int Size, bool Bounded> struct Scores {
  typedef typename Lanes<A>::vec vec;
  const A* k;
  int64_t size, stride;
  A factor;

  vec product(Channels<A, Size>& q, int64_t key) const {
    vec sum = q[0] * k[key];
    for (int64_t c = 1; c < (Size ? Size : size); ++c) sum += q[c] * k[c * stride + key];
    return sum;
  }
  vec greatest(Channels<A, Size>& q, int64_t keys) const {
    vec most = product(q, 0);
    for (int64_t key = 1; key < keys; ++key) most = greater<A>(most, product(q, key));
    return most;
  }
  // exp of the scaled score, relative to the shift. Bounded queries carry the factor already. Else the factor comes
  // last, so that finite products stay finite.
  vec exponential(Channels<A, Size>& q, int64_t key, vec shift) const {
    const vec score = product(q, key);
    return exp2<A>(Bounded ? score : (score - shift) * factor);
  }
};

template <class A> int64_t attend_scratch(int64_t size) { return 2 * size * Lanes<A>::count; }

// One vector of queries, fields at .. at + lanes - 1, of one head.
template <class A, int Size, bool Bounded>
void attend_vector(const Attention<A>& x, int64_t head, int64_t at, A* out, A* reciprocals, A* scratch) {
  typedef typename Lanes<A>::vec vec;
  const int64_t size = Size ? Size : x.size, first = head * size * x.stride;
  const A* v = x.v + first;
  const Scores<A, Size, Bounded> scores{x.k + first, size, x.stride, x.factor()};
  Channels<A, Size> q(scratch), sum(scratch + size * Lanes<A>::count);
  for (int64_t c = 0; c < size; ++c) {
    q[c] = load<A>(x.q + first + c * x.stride + at) * (Bounded ? x.factor() : A(1));
    sum[c] = vec{};
  }
  const vec shift = Bounded ? vec{} : scores.greatest(q, x.keys());
  vec total{};
#pragma GCC unroll 4
  for (int64_t key = 0; key < x.fields; ++key) {
    const vec e = scores.exponential(q, key, shift);
    total += e;
    for (int64_t c = 0; c < size; ++c) sum[c] += e * v[c * x.stride + key];
  }
  if (x.padded > 0) {
    const vec e = x.padded * scores.exponential(q, x.fields, shift);
    total += e;
    for (int64_t c = 0; c < size; ++c) sum[c] += e * v[c * x.stride + x.fields];
  }
  const vec reciprocal = 1 / total;
  store<A>(reciprocals + head * x.stride + at, reciprocal);
  for (int64_t c = 0; c < size; ++c) store<A>(out + first + c * x.stride + at, sum[c] * reciprocal);
}

// out [heads * size][stride]; reciprocals [heads][stride]: 1 / sum of the exponentials of each query, relative to the
// shift that the backward finds again.
template <class A> void attend(const Attention<A>& x, A* out, A* reciprocals, A* scratch) {
  for_head_size(x.size, [&]<int Size>() {
    for (int64_t head = 0; head < x.heads; ++head)
      for (int64_t at = 0; at < x.fields; at += Lanes<A>::count) {
        if (x.bounded)
          attend_vector<A, Size, true>(x, head, at, out, reciprocals, scratch);
        else
          attend_vector<A, Size, false>(x, head, at, out, reciprocals, scratch);
      }
  });
}

template <class A> int64_t attend_backward_scratch(int64_t size, int64_t stride) {
  return (size + 2) * stride + 3 * size * Lanes<A>::count + 2 * size * Lanes<A>::count * Lanes<A>::count;
}

// With p = softmax and g the gradient of the output: dv_j = sum_i p_ij g_i, ds_ij = p_ij (g_i v_j - g_i out_i),
// dq_i = sum_j ds_ij k_j, dk_j = sum_i ds_ij q_i. The softmax's denominator is folded into g. The sums over queries run
// lane by lane and are added across lanes for a vector of keys at a time.
template <class A, int Size, bool Bounded>
void attend_backward_head(
    const Attention<A>& x, int64_t head, const A* grad, const A* out, const A* reciprocals, A* dq, A* dk, A* dv,
    A* scratch) {
  typedef typename Lanes<A>::vec vec;
  constexpr int n = Lanes<A>::count;
  const int64_t size = Size ? Size : x.size, stride = x.stride, first = head * size * stride;
  const A *k = x.k + first, *v = x.v + first;
  const Scores<A, Size, Bounded> scores{k, size, stride, x.factor()};
  const A q_factor = Bounded ? x.factor() : A(1);
  A* scaled_grad = scratch;                  // [size][stride], times the reciprocals
  A* offset = scaled_grad + size * stride;   // [stride]: scaled_grad . out
  A* shift = offset + stride;                // [stride]
  A* registers = shift + stride;
  vec* sums = reinterpret_cast<vec*>(registers + 3 * size * n);  // [2 size][n]: dk, dv of n keys
  Channels<A, Size> q(registers), g(registers + size * n), dq_sum(registers + 2 * size * n);

  const auto load_queries = [&](int64_t at) {
    for (int64_t c = 0; c < size; ++c) q[c] = load<A>(x.q + first + c * stride + at) * q_factor;
  };
  for (int64_t at = 0; at < x.fields; at += n) {
    const vec reciprocal = load<A>(reciprocals + head * stride + at);
    vec dot{};
    for (int64_t c = 0; c < size; ++c) {
      const vec scaled = load<A>(grad + first + c * stride + at) * reciprocal;
      store<A>(scaled_grad + c * stride + at, scaled);
      dot += scaled * load<A>(out + first + c * stride + at);
      store<A>(dq + first + c * stride + at, vec{});
    }
    store<A>(offset + at, dot);
    if constexpr (!Bounded) {
      load_queries(at);
      store<A>(shift + at, scores.greatest(q, x.keys()));
    }
  }
  for (int64_t block = 0; block < x.keys(); block += n) {
    for (int64_t i = 0; i < 2 * size * n; ++i) sums[i] = vec{};
    for (int64_t at = 0; at < x.fields; at += n) {
      load_queries(at);
      for (int64_t c = 0; c < size; ++c) {
        g[c] = load<A>(scaled_grad + c * stride + at);
        dq_sum[c] = load<A>(dq + first + c * stride + at);
      }
      const vec dot = load<A>(offset + at), top = Bounded ? vec{} : load<A>(shift + at);
      const auto add_key = [&](int64_t key, A times) {
        const vec e = times * scores.exponential(q, key, top);
        vec ds = -dot;
        for (int64_t c = 0; c < size; ++c) ds += g[c] * v[c * stride + key];
        ds *= e;
        vec* sum = sums + key - block;
        for (int64_t c = 0; c < size; ++c) {
          dq_sum[c] += ds * k[c * stride + key];
          sum[c * n] += ds * q[c];
          sum[(size + c) * n] += e * g[c];
        }
      };
      const int64_t end = block + n < x.fields ? block + n : x.fields;
#pragma GCC unroll 2
      for (int64_t key = block; key < end; ++key) add_key(key, 1);
      if (x.padded > 0 && x.fields < block + n) add_key(x.fields, x.padded);
      for (int64_t c = 0; c < size; ++c) store<A>(dq + first + c * stride + at, dq_sum[c]);
    }
    const A k_factor = x.natural_factor() / q_factor;
    for (int64_t c = 0; c < size; ++c) {
      store<A>(dk + first + c * stride + block, k_factor * sums_of_lanes<A>(sums + c * n));
      store<A>(dv + first + c * stride + block, sums_of_lanes<A>(sums + (size + c) * n));
    }
  }
  for (int64_t c = 0; c < size; ++c)
    for (int64_t at = 0; at < x.fields; at += n) {
      A* to = dq + first + c * stride + at;
      store<A>(to, x.natural_factor() * load<A>(to));
    }
}

// grad and out as the forward's out; dq, dk, dv like q, k, v. dk and dv are written up to the last vector of keys; the
// padded key's stand at position `fields`.
template <class A>
void attend_backward(
    const Attention<A>& x, const A* grad, const A* out, const A* reciprocals, A* dq, A* dk, A* dv, A* scratch) {
  for_head_size(x.size, [&]<int Size>() {
    for (int64_t head = 0; head < x.heads; ++head) {
      if (x.bounded)
        attend_backward_head<A, Size, true>(x, head, grad, out, reciprocals, dq, dk, dv, scratch);
      else
        attend_backward_head<A, Size, false>(x, head, grad, out, reciprocals, dq, dk, dv, scratch);
    }
  });
}

}  // namespace
}  // namespace nasrec
