// The attention operator behind its field projection, sample by sample, for one instruction set: all that a sample
// needs stays in the nearest caches. Only the attention's result and the softmax's denominators are kept for the
// backward; projections and norms are cheaper to compute again than to write and read.
#include "cpu/kernels/field_attention.h"

#include "cpu/kernels/attend.h"
#include "cpu/kernels/channel_norm.h"
#include "cpu/kernels/field_products.h"

namespace nasrec {
namespace {

// One sample and the parameters in scratch memory, channel-major rows of `stride` entries.
template <class A> struct Stage {
  int64_t channels, block, stride, pitch, vectors, key_vectors;
  const A* parameters[kFieldAttentionParameters];
  A *x, *qkv, *mixed, *reciprocals;
  A *normed1, *scales1, *h, *u, *normed2, *scales2, *out;  // h, u: results of the first norm and the ReLU
  A *grad, *grad_u, *grad_h, *grad_qkv, *terms, *field_major;
  A* rest;
  int64_t entries;

  Stage(const FieldAttentionSizes& s, A* scratch)
      : channels(s.channels()), stride(row_stride<A>(s.fields + (s.padded > 0))), pitch(row_stride<A>(channels)) {
    vectors = row_stride<A>(s.fields) / Lanes<A>::count;
    key_vectors = stride / Lanes<A>::count;
    block = channels * stride;
    A* next = scratch;
    const auto take = [&](int64_t count) {
      A* here = next;
      next += row_stride<A>(count);
      return here;
    };
    for (int role = 0; role < kFieldAttentionParameters; ++role) parameters[role] = take(s.elements(role));
    x = take(block), qkv = take(3 * block), mixed = take(block), reciprocals = take(s.heads * stride);
    normed1 = take(block), scales1 = take(stride), h = take(block), u = take(block);
    normed2 = take(block), scales2 = take(stride), out = take(block);
    grad = take(block), grad_u = take(block), grad_h = take(block), grad_qkv = take(3 * block), terms = take(block);
    field_major = take(vectors * Lanes<A>::count * pitch);
    rest = next;
    const int64_t forward = attend_scratch<A>(s.size), backward = attend_backward_scratch<A>(s.size, stride);
    entries = next - scratch + row_stride<A>(forward > backward ? forward : backward);
  }

  const A* parameter(int role) const { return parameters[role]; }
};

template <class A> int64_t scratch_bytes(const FieldAttentionSizes& s) {
  return Stage<A>(s, nullptr).entries * static_cast<int64_t>(sizeof(A));
}

template <class T, class A>
Stage<A> staged_parameters(const T* const* parameters, const FieldAttentionSizes& s, void* scratch) {
  const Stage<A> stage(s, static_cast<A*>(scratch));
  for (int role = 0; role < kFieldAttentionParameters; ++role) {
    A* to = const_cast<A*>(stage.parameters[role]);
    for (int64_t i = 0; i < s.elements(role); ++i) to[i] = widen(parameters[role][i]);
  }
  return stage;
}

template <class A> Matrix<A> weight(const Stage<A>& stage, const FieldAttentionSizes& s, int role) {
  return stored(stage.parameter(role), s.rows(role), stage.channels);
}
template <class A> Matrix<A> weight_transposed(const Stage<A>& stage, const FieldAttentionSizes& s, int role) {
  return transposed(stage.parameter(role), s.rows(role), stage.channels);
}

// Queries, keys and values of the sample in stage.x. An all-zero field has the biases for key and value: they stand
// behind the last field, once for all such fields.
template <class A> Attention<A> project(const Stage<A>& stage, const FieldAttentionSizes& s) {
  const A* bias = stage.parameter(kQkvBias);
  product(weight(stage, s, kQkvWeight), stage.x, bias, static_cast<const A*>(nullptr), stage.qkv, stage.stride, stage.vectors);
  if (s.padded > 0)
    for (int64_t c = 0; c < 3 * stage.channels; ++c) {
      A* row = stage.qkv + c * stage.stride;
      for (int64_t i = s.fields; i < stage.stride; ++i) row[i] = 0;
      row[s.fields] = bias[c];
    }
  Attention<A> attention{stage.qkv, stage.qkv + stage.block, stage.qkv + 2 * stage.block, s.heads, s.size, s.fields,
                         stage.stride, static_cast<A>(s.padded), false};
  attention.bounded = scores_bounded(attention);
  return attention;
}

// From the attention's result to the second norm.
template <class A> void finish(const Stage<A>& stage, const FieldAttentionSizes& s) {
  const A* none = nullptr;
  const A eps = static_cast<A>(s.eps);
  product(weight(stage, s, kOutWeight), stage.mixed, stage.parameter(kOutBias), stage.x, stage.normed1, stage.stride, stage.vectors);
  channel_norm(
      stage.normed1, stage.channels, stage.stride, stage.vectors, stage.parameter(kNorm1Weight),
      stage.parameter(kNorm1Bias), eps, stage.normed1, stage.scales1, stage.h);
  product(weight(stage, s, kFc1Weight), stage.h, stage.parameter(kFc1Bias), none, stage.u, stage.stride, stage.vectors, true);
  product(weight(stage, s, kFc2Weight), stage.u, stage.parameter(kFc2Bias), static_cast<const A*>(stage.h), stage.normed2, stage.stride, stage.vectors);
  channel_norm(
      stage.normed2, stage.channels, stage.stride, stage.vectors, stage.parameter(kNorm2Weight),
      stage.parameter(kNorm2Bias), eps, stage.normed2, stage.scales2, stage.out);
}

template <class T, class A>
void forward(
    const T* x, const T* const* parameters, T* out, A* mixed, A* reciprocals, int64_t begin, int64_t end,
    const FieldAttentionSizes& s, void* scratch) {
  const Stage<A> stage = staged_parameters<T, A>(parameters, s, scratch);
  const int64_t values = s.fields * stage.channels;
  for (int64_t b = begin; b < end; ++b) {
    to_channel_major(x + b * values, s.fields, stage.channels, stage.x, stage.stride);
    attend(project(stage, s), stage.mixed, stage.reciprocals, stage.rest);
    finish(stage, s);
    from_channel_major(stage.out, stage.stride, s.fields, stage.channels, out + b * values);
    from_channel_major(stage.mixed, stage.stride, s.fields, stage.channels, mixed + b * values);
    for (int64_t head = 0; head < s.heads; ++head)
      copy_row(stage.reciprocals + head * stage.stride, reciprocals + (b * s.heads + head) * s.fields, s.fields);
  }
}

// Gradients of the parameters: weights in rows of `pitch` entries, vectors filled up to whole lanes.
template <class A> struct Sums {
  A* at[kFieldAttentionParameters];
  int64_t entries;

  Sums(const FieldAttentionSizes& s, A* data) : entries(0) {
    for (int role = 0; role < kFieldAttentionParameters; ++role) {
      at[role] = data + entries;
      entries += s.is_weight(role) ? s.rows(role) * row_stride<A>(s.channels()) : row_stride<A>(s.rows(role));
    }
  }
};

template <class A> int64_t sums_size(const FieldAttentionSizes& s) { return Sums<A>(s, nullptr).entries; }

// Adds the gradients of a weight and its bias: grad of its result, x its operand, both channel-major.
template <class A>
void add_gradients(
    const Stage<A>& stage, const FieldAttentionSizes& s, const Sums<A>& sums, int role, const A* grad, const A* x,
    int64_t bias_vectors) {
  to_field_major(x, stage.channels, stage.stride, stage.vectors, stage.field_major, stage.pitch);
  add_weight_gradient(grad, s.rows(role), stage.stride, stage.field_major, s.fields, stage.pitch, sums.at[role]);
  add_row_sums(grad, s.rows(role), stage.stride, bias_vectors, sums.at[role + 1]);
}

// `grad` of a norm's result becomes that of its operand.
template <class A>
void norm_backward(const Stage<A>& stage, const Sums<A>& sums, int role, A* grad, const A* normed, const A* scales) {
  add_row_sums(grad, stage.channels, stage.stride, stage.vectors, sums.at[role + 1]);
  channel_norm_backward(
      grad, normed, scales, stage.channels, stage.stride, stage.vectors, stage.parameter(role), stage.terms);
  add_row_sums(stage.terms, stage.channels, stage.stride, stage.vectors, sums.at[role]);
}

template <class T, class A>
void backward(
    const T* grad, const T* x, const T* const* parameters, const A* mixed, const A* reciprocals, T* grad_x, A* sum_data,
    int64_t begin, int64_t end, const FieldAttentionSizes& s, void* scratch) {
  typedef typename Lanes<A>::vec vec;
  const Stage<A> stage = staged_parameters<T, A>(parameters, s, scratch);
  const Sums<A> sums(s, sum_data);
  for (int64_t i = 0; i < sums.entries; ++i) sum_data[i] = 0;
  const int64_t channels = stage.channels, values = s.fields * channels, stride = stage.stride, vectors = stage.vectors;
  const A* none = nullptr;
  for (int64_t b = begin; b < end; ++b) {
    to_channel_major(x + b * values, s.fields, channels, stage.x, stride);
    to_channel_major(mixed + b * values, s.fields, channels, stage.mixed, stride);
    to_channel_major(grad + b * values, s.fields, channels, stage.grad, stride);
    for (int64_t head = 0; head < s.heads; ++head)
      fill_row(reciprocals + (b * s.heads + head) * s.fields, s.fields, stage.reciprocals + head * stride, stride);
    const Attention<A> attention = project(stage, s);
    finish(stage, s);

    // Second norm, and the feed-forward pair around which the residual goes: grad_h collects both ways.
    norm_backward(stage, sums, kNorm2Weight, stage.grad, stage.normed2, stage.scales2);
    add_gradients(stage, s, sums, kFc2Weight, stage.grad, stage.u, vectors);
    product(weight_transposed(stage, s, kFc2Weight), stage.grad, none, none, stage.grad_u, stride, vectors);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t at = 0; at < vectors * Lanes<A>::count; at += Lanes<A>::count) {
        A* to = stage.grad_u + c * stride + at;
        const vec u = load<A>(stage.u + c * stride + at);
        store<A>(to, u > 0 ? load<A>(to) : vec{});
      }
    add_gradients(stage, s, sums, kFc1Weight, stage.grad_u, stage.h, vectors);
    product(
        weight_transposed(stage, s, kFc1Weight), stage.grad_u, none, static_cast<const A*>(stage.grad), stage.grad_h,
        stride, vectors);

    // First norm, output projection, attention, input projection: stage.grad collects the gradient of x.
    norm_backward(stage, sums, kNorm1Weight, stage.grad_h, stage.normed1, stage.scales1);
    add_gradients(stage, s, sums, kOutWeight, stage.grad_h, stage.mixed, vectors);
    product(weight_transposed(stage, s, kOutWeight), stage.grad_h, none, none, stage.grad_u, stride, vectors);
    A* dq = stage.grad_qkv;
    for (int64_t i = 0; i < stage.block; ++i) dq[i] = 0;  // dk and dv are written whole, dq only where there are fields
    attend_backward(
        attention, stage.grad_u, stage.mixed, stage.reciprocals, dq, dq + stage.block, dq + 2 * stage.block,
        stage.rest);
    add_gradients(stage, s, sums, kQkvWeight, stage.grad_qkv, stage.x, stage.key_vectors);
    product(
        weight_transposed(stage, s, kQkvWeight), stage.grad_qkv, none, static_cast<const A*>(stage.grad_h), stage.grad,
        stride, vectors);
    from_channel_major(stage.grad, stride, s.fields, channels, grad_x + b * values);
  }
}

template <class T, class A>
void reduce(const A* sum_data, int parts, T* const* gradients, const FieldAttentionSizes& s) {
  const int64_t entries = sums_size<A>(s);
  const Sums<A> sums(s, const_cast<A*>(sum_data));
  for (int role = 0; role < kFieldAttentionParameters; ++role) {
    const int64_t columns = s.is_weight(role) ? s.channels() : 1, pitch = s.is_weight(role) ? row_stride<A>(columns) : 1;
    for (int64_t row = 0; row < s.rows(role); ++row)
      for (int64_t c = 0; c < columns; ++c) {
        A sum = 0;
        for (int part = 0; part < parts; ++part) sum += sums.at[role][part * entries + row * pitch + c];
        narrow(sum, gradients[role] + row * columns + c);
      }
  }
}

}  // namespace

namespace NASREC_ISA {

extern const FieldAttentionTable field_attention = {
    {scratch_bytes<float>, forward<float, float>, sums_size<float>, backward<float, float>, reduce<float, float>},
    {scratch_bytes<double>, forward<double, double>, sums_size<double>, backward<double, double>,
     reduce<double, double>},
    {scratch_bytes<float>, forward<uint16_t, float>, sums_size<float>, backward<uint16_t, float>,
     reduce<uint16_t, float>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
