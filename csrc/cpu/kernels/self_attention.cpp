// Self-attention of the fields of each sample, forward and backward, for one instruction set.
#include "cpu/kernels/self_attention.h"

#include "cpu/kernels/attend.h"

namespace nasrec {
namespace {

// One sample in scratch memory, channel-major.
template <class A> struct Stage {
  int64_t stride;
  A *qkv, *out, *reciprocals, *grad, *grad_qkv, *rest;

  Stage(const SelfAttentionSizes& s, void* scratch) : stride(row_stride<A>(s.fields)) {
    const int64_t block = s.channels() * stride;
    qkv = static_cast<A*>(scratch);
    out = qkv + 3 * block;
    reciprocals = out + block;
    grad = reciprocals + s.heads * stride;
    grad_qkv = grad + block;
    rest = grad_qkv + 3 * block;
  }
};

template <class A> int64_t scratch_bytes(const SelfAttentionSizes& s) {
  const int64_t stride = row_stride<A>(s.fields);
  const int64_t forward = attend_scratch<A>(s.size), backward = attend_backward_scratch<A>(s.size, stride);
  const int64_t rest = forward > backward ? forward : backward;
  return ((8 * s.channels() + s.heads) * stride + rest) * static_cast<int64_t>(sizeof(A));
}

// The sample's packed rows, brought into the stage.
template <class T, class A>
Attention<A> stage_qkv(const Stage<A>& stage, const T* qkv, const SelfAttentionSizes& s) {
  const int64_t channels = s.channels(), block = channels * stage.stride;
  to_channel_major(qkv, s.fields, 3 * channels, stage.qkv, stage.stride);
  Attention<A> x{stage.qkv, stage.qkv + block, stage.qkv + 2 * block, s.heads, s.size, s.fields, stage.stride, 0, false};
  x.bounded = scores_bounded(x);
  return x;
}

template <class T, class A>
void forward(const T* qkv, T* out, A* reciprocals, int64_t samples, const SelfAttentionSizes& s, void* scratch) {
  const Stage<A> stage(s, scratch);
  const int64_t values = s.fields * s.channels();
  for (int64_t b = 0; b < samples; ++b) {
    const Attention<A> x = stage_qkv(stage, qkv + b * 3 * values, s);
    attend(x, stage.out, stage.reciprocals, stage.rest);
    from_channel_major(stage.out, stage.stride, s.fields, s.channels(), out + b * values);
    for (int64_t head = 0; head < s.heads; ++head)
      copy_row(stage.reciprocals + head * stage.stride, reciprocals + (b * s.heads + head) * s.fields, s.fields);
  }
}

template <class T, class A>
void backward(
    const T* grad, const T* qkv, const T* out, const A* reciprocals, T* grad_qkv, int64_t samples,
    const SelfAttentionSizes& s, void* scratch) {
  const Stage<A> stage(s, scratch);
  const int64_t channels = s.channels(), values = s.fields * channels, block = channels * stage.stride;
  for (int64_t b = 0; b < samples; ++b) {
    const Attention<A> x = stage_qkv(stage, qkv + b * 3 * values, s);
    to_channel_major(out + b * values, s.fields, channels, stage.out, stage.stride);
    to_channel_major(grad + b * values, s.fields, channels, stage.grad, stage.stride);
    for (int64_t head = 0; head < s.heads; ++head)
      fill_row(reciprocals + (b * s.heads + head) * s.fields, s.fields, stage.reciprocals + head * stage.stride, stage.stride);
    A* dq = stage.grad_qkv;
    attend_backward(x, stage.grad, stage.out, stage.reciprocals, dq, dq + block, dq + 2 * block, stage.rest);
    from_channel_major(stage.grad_qkv, stage.stride, s.fields, 3 * channels, grad_qkv + b * 3 * values);
  }
}

}  // namespace

namespace NASREC_ISA {

extern const SelfAttentionTable self_attention = {
    {scratch_bytes<float>, forward<float, float>, backward<float, float>},
    {scratch_bytes<double>, forward<double, double>, backward<double, double>},
    {scratch_bytes<float>, forward<uint16_t, float>, backward<uint16_t, float>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
