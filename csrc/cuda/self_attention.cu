// One block per sample, a thread per query of a head (attend.cuh).
#include "cuda/self_attention.h"

#include <type_traits>

#include "cuda/attend.cuh"
#include "cuda/stage.cuh"

namespace nasrec::cuda {
namespace {

constexpr int kThreads = 128;

// One sample, channel-major.
template <class A> struct Stage {
  int64_t pitch, block, entries;
  A *qkv, *out, *reciprocals, *grad, *grad_qkv, *most, *offset;

  __host__ __device__ Stage(A* memory, const SelfAttentionSizes& s, bool backward)
      : pitch(pitch_of(s.fields)), block(s.heads * s.size * pitch) {
    const int64_t rows = s.heads * pitch;
    qkv = memory;
    out = qkv + 3 * block;
    reciprocals = out + block;
    grad = reciprocals + rows;
    grad_qkv = grad + block;
    most = grad_qkv + 3 * block;
    offset = most + rows;
    entries = 4 * block + rows + (backward ? 4 * block + 2 * rows : 0);
  }
};

template <class A> __device__ Attention<A> attention_of(const Stage<A>& stage, const SelfAttentionSizes& s) {
  return {stage.qkv, stage.qkv + stage.block, stage.qkv + 2 * stage.block, s.heads, s.size, s.fields, stage.pitch, 0};
}

template <class T, int Size, class A>
__global__ void forward(
    A* workspace, int64_t entries, const T* qkv, T* out, A* reciprocals, int64_t batch, SelfAttentionSizes s) {
  const Stage<A> stage(stage_of(workspace, entries), s, false);
  const int64_t channels = s.heads * s.size, values = s.fields * channels, rows = s.heads * s.fields;
  for (int64_t b = blockIdx.x; b < batch; b += gridDim.x) {
    to_channel_major(qkv + b * 3 * values, s.fields, 3 * channels, stage.qkv, stage.pitch);
    __syncthreads();
    attend<Size>(attention_of(stage, s), stage.out, stage.reciprocals);
    __syncthreads();
    from_channel_major(stage.out, stage.pitch, s.fields, channels, out + b * values);
    for (int64_t i = threadIdx.x; i < rows; i += blockDim.x)
      reciprocals[b * rows + i] = stage.reciprocals[i / s.fields * stage.pitch + i % s.fields];
    __syncthreads();  // before the next sample overwrites the stage
  }
}

template <class T, int Size, class A>
__global__ void backward(
    A* workspace, int64_t entries, const T* grad, const T* qkv, const T* out, const A* reciprocals, T* grad_qkv,
    int64_t batch, SelfAttentionSizes s) {
  const Stage<A> stage(stage_of(workspace, entries), s, true);
  const int64_t channels = s.heads * s.size, values = s.fields * channels, rows = s.heads * s.fields;
  for (int64_t b = blockIdx.x; b < batch; b += gridDim.x) {
    to_channel_major(qkv + b * 3 * values, s.fields, 3 * channels, stage.qkv, stage.pitch);
    to_channel_major(out + b * values, s.fields, channels, stage.out, stage.pitch);
    to_channel_major(grad + b * values, s.fields, channels, stage.grad, stage.pitch);
    for (int64_t i = threadIdx.x; i < rows; i += blockDim.x)
      stage.reciprocals[i / s.fields * stage.pitch + i % s.fields] = reciprocals[b * rows + i];
    __syncthreads();
    A* dq = stage.grad_qkv;
    attend_backward<Size>(
        attention_of(stage, s), stage.grad, stage.out, stage.reciprocals, stage.most, stage.offset, dq,
        dq + stage.block, dq + 2 * stage.block);
    __syncthreads();
    from_channel_major(stage.grad_qkv, stage.pitch, s.fields, 3 * channels, grad_qkv + b * 3 * values);
    __syncthreads();
  }
}

}  // namespace

int64_t self_attention_workspace(Element type, int64_t batch, const SelfAttentionSizes& s, bool backward) {
  int64_t bytes = 0;
  for_element(type, [&](auto* tag) {
    using A = typename Accumulate<std::remove_pointer_t<decltype(tag)>>::type;
    bytes = Stage<A>(nullptr, s, backward).entries * static_cast<int64_t>(sizeof(A));
  });
  return needs_workspace(bytes) ? staged_blocks(batch) * bytes : 0;
}

const char* self_attention(
    Element type, const void* qkv, void* out, void* reciprocals, void* workspace, int64_t batch,
    const SelfAttentionSizes& s, void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = typename Accumulate<T>::type;
    for_head_size(s.size, [&](auto size) {
      const int64_t entries = Stage<A>(nullptr, s, false).entries;
      launch_staged<A>(
          forward<T, decltype(size)::value, A>, staged_blocks(batch), kThreads, entries, workspace, stream, entries,
          static_cast<const T*>(qkv), static_cast<T*>(out), static_cast<A*>(reciprocals), batch, s);
    });
  });
  return launch_error();
}

const char* self_attention_backward(
    Element type, const void* grad, const void* qkv, const void* out, const void* reciprocals, void* grad_qkv,
    void* workspace, int64_t batch, const SelfAttentionSizes& s, void* stream) {
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = typename Accumulate<T>::type;
    for_head_size(s.size, [&](auto size) {
      const int64_t entries = Stage<A>(nullptr, s, true).entries;
      launch_staged<A>(
          backward<T, decltype(size)::value, A>, staged_blocks(batch), kThreads, entries, workspace, stream, entries,
          static_cast<const T*>(grad), static_cast<const T*>(qkv), static_cast<const T*>(out),
          static_cast<const A*>(reciprocals), static_cast<T*>(grad_qkv), batch, s);
    });
  });
  return launch_error();
}

}  // namespace nasrec::cuda
