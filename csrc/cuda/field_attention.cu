// One block per sample, the sample and the parameters staged (stage.cuh). In the backward a block adds its samples'
// parameter gradients up in its stage; the blocks' sums are then added in their order, so that results do not depend
// on which block was first.
#include "cuda/field_attention.h"

#include <type_traits>

#include "cuda/field_products.cuh"
#include "cuda/stage.cuh"

namespace nasrec::cuda {
namespace {

constexpr int kThreads = 128;

// The sizes in a form for device code, and where each parameter begins among all.
struct Plan {
  int64_t batch, fields, heads, size, padded, channels, pitch, block, parameters;
  int64_t begin[kFieldAttentionParameters + 1];
  double eps;

  Plan(const FieldAttentionSizes& s, int64_t batch)
      : batch(batch), fields(s.fields), heads(s.heads), size(s.size), padded(s.padded), channels(s.channels()),
        pitch(pitch_of(s.fields)), block(channels * pitch), eps(s.eps) {
    begin[0] = 0;
    for (int role = 0; role < kFieldAttentionParameters; ++role) begin[role + 1] = begin[role] + s.elements(role);
    parameters = begin[kFieldAttentionParameters];
  }
};

template <class A> struct Stage {
  A *parameters, *x, *qkv, *mixed, *reciprocals, *normed1, *scales1, *h, *u, *normed2, *scales2, *out;
  A *sums, *grad, *grad_u, *grad_h, *grad_qkv, *most, *offset, *terms;
  int64_t entries;

  __host__ __device__ Stage(A* memory, const Plan& p, bool backward) {
    int64_t used = 0;
    const auto take = [&](int64_t count) {
      A* here = memory + used;
      used += count;
      return here;
    };
    parameters = take(p.parameters);
    x = take(p.block), qkv = take(3 * p.block), mixed = take(p.block), reciprocals = take(p.heads * p.pitch);
    normed1 = take(p.block), scales1 = take(p.pitch), h = take(p.block), u = take(p.block);
    normed2 = take(p.block), scales2 = take(p.pitch), out = take(p.block);
    if (backward) {
      sums = take(p.parameters), grad = take(p.block), grad_u = take(p.block), grad_h = take(p.block);
      grad_qkv = take(3 * p.block), most = take(p.heads * p.pitch), offset = take(p.heads * p.pitch);
      terms = out;  // the backward has no use for the result
    }
    entries = used;
  }
};

template <class T, class A>
__device__ void stage_parameters(const FieldAttentionPointers& from, const Plan& p, A* to) {
  for (int role = 0; role < kFieldAttentionParameters; ++role) {
    const T* data = static_cast<const T*>(from.data[role]);
    for (int64_t i = threadIdx.x; i < p.begin[role + 1] - p.begin[role]; i += blockDim.x)
      to[p.begin[role] + i] = widen(data[i]);
  }
}

template <class A> struct Sample {
  const Plan& p;
  const Stage<A>& stage;

  __device__ const A* parameter(int role) const { return stage.parameters + p.begin[role]; }
  __device__ int64_t rows(int role) const { return role <= kQkvBias ? 3 * p.channels : p.channels; }
  __device__ Matrix<A> weight(int role) const { return stored(parameter(role), rows(role), p.channels); }
  __device__ Matrix<A> turned(int role) const { return transposed(parameter(role), rows(role), p.channels); }

  __device__ Attention<A> attention() const {
    return {stage.qkv, stage.qkv + p.block, stage.qkv + 2 * p.block, p.heads, p.size, p.fields, p.pitch,
            static_cast<A>(p.padded)};
  }

  // Queries, keys and values; an all-zero field has the biases, which stand behind the last field.
  __device__ void project() const {
    const A* bias = parameter(kQkvBias);
    product(weight(kQkvWeight), stage.x, bias, static_cast<const A*>(nullptr), stage.qkv, p.pitch, p.fields);
    for (int64_t c = threadIdx.x; c < 3 * p.channels; c += blockDim.x) stage.qkv[c * p.pitch + p.fields] = bias[c];
    __syncthreads();
  }

  // From the attention's result to the second norm; ends with a barrier.
  __device__ void finish() const {
    const A eps = static_cast<A>(p.eps), *none = nullptr, *x = stage.x, *h = stage.h;
    product(weight(kOutWeight), stage.mixed, parameter(kOutBias), x, stage.normed1, p.pitch, p.fields);
    __syncthreads();
    channel_norm(
        stage.normed1, p.channels, p.pitch, p.fields, parameter(kNorm1Weight), parameter(kNorm1Bias), eps,
        stage.scales1, stage.h);
    __syncthreads();
    product(weight(kFc1Weight), stage.h, parameter(kFc1Bias), none, stage.u, p.pitch, p.fields, true);
    __syncthreads();
    product(weight(kFc2Weight), stage.u, parameter(kFc2Bias), h, stage.normed2, p.pitch, p.fields);
    __syncthreads();
    channel_norm(
        stage.normed2, p.channels, p.pitch, p.fields, parameter(kNorm2Weight), parameter(kNorm2Bias), eps,
        stage.scales2, stage.out);
    __syncthreads();
  }

  // Gradients of a weight and its bias.
  __device__ void add_gradients(int role, const A* grad, const A* x) const {
    add_weight_gradient(grad, rows(role), x, p.channels, p.pitch, p.fields, stage.sums + p.begin[role]);
    add_row_sums(grad, rows(role), p.pitch, p.fields, stage.sums + p.begin[role + 1]);
  }

  // `grad` of a norm's result becomes that of its operand; ends with a barrier.
  __device__ void norm_backward(int role, A* grad, const A* normed, const A* scales) const {
    add_row_sums(grad, p.channels, p.pitch, p.fields, stage.sums + p.begin[role + 1]);
    __syncthreads();
    channel_norm_backward(grad, normed, scales, p.channels, p.pitch, p.fields, parameter(role), stage.terms);
    __syncthreads();
    add_row_sums(stage.terms, p.channels, p.pitch, p.fields, stage.sums + p.begin[role]);
    __syncthreads();
  }
};

template <class T, int Size, class A>
__global__ void forward(
    A* workspace, int64_t entries, const T* x, FieldAttentionPointers parameters, T* out, A* mixed, A* reciprocals,
    Plan p) {
  const Stage<A> stage(stage_of(workspace, entries), p, false);
  const Sample<A> sample{p, stage};
  const int64_t values = p.fields * p.channels, rows = p.heads * p.fields;
  stage_parameters<T>(parameters, p, stage.parameters);
  for (int64_t b = blockIdx.x; b < p.batch; b += gridDim.x) {
    to_channel_major(x + b * values, p.fields, p.channels, stage.x, p.pitch);
    __syncthreads();
    sample.project();
    attend<Size>(sample.attention(), stage.mixed, stage.reciprocals);
    __syncthreads();
    sample.finish();
    from_channel_major(stage.out, p.pitch, p.fields, p.channels, out + b * values);
    from_channel_major(stage.mixed, p.pitch, p.fields, p.channels, mixed + b * values);
    for (int64_t i = threadIdx.x; i < rows; i += blockDim.x)
      reciprocals[b * rows + i] = stage.reciprocals[i / p.fields * p.pitch + i % p.fields];
    __syncthreads();  // before the next sample overwrites the stage
  }
}

template <class T, int Size, class A>
__global__ void backward(
    A* workspace, int64_t entries, const T* grad, const T* x, FieldAttentionPointers parameters, const A* mixed,
    const A* reciprocals, T* grad_x, A* sums, Plan p) {
  const Stage<A> stage(stage_of(workspace, entries), p, true);
  const Sample<A> sample{p, stage};
  const int64_t values = p.fields * p.channels, rows = p.heads * p.fields, pitch = p.pitch;
  const A* none = nullptr;
  stage_parameters<T>(parameters, p, stage.parameters);
  for (int64_t i = threadIdx.x; i < p.parameters; i += blockDim.x) stage.sums[i] = 0;
  for (int64_t b = blockIdx.x; b < p.batch; b += gridDim.x) {
    to_channel_major(x + b * values, p.fields, p.channels, stage.x, pitch);
    to_channel_major(mixed + b * values, p.fields, p.channels, stage.mixed, pitch);
    to_channel_major(grad + b * values, p.fields, p.channels, stage.grad, pitch);
    for (int64_t i = threadIdx.x; i < rows; i += blockDim.x)
      stage.reciprocals[i / p.fields * pitch + i % p.fields] = reciprocals[b * rows + i];
    __syncthreads();
    sample.project();
    sample.finish();

    sample.norm_backward(kNorm2Weight, stage.grad, stage.normed2, stage.scales2);
    sample.add_gradients(kFc2Weight, stage.grad, stage.u);
    product(sample.turned(kFc2Weight), stage.grad, none, none, stage.grad_u, pitch, p.fields);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < p.block; i += blockDim.x)
      if (i % pitch < p.fields && !(stage.u[i] > A(0))) stage.grad_u[i] = 0;
    __syncthreads();
    sample.add_gradients(kFc1Weight, stage.grad_u, stage.h);
    product(
        sample.turned(kFc1Weight), stage.grad_u, none, static_cast<const A*>(stage.grad), stage.grad_h, pitch,
        p.fields);
    __syncthreads();

    sample.norm_backward(kNorm1Weight, stage.grad_h, stage.normed1, stage.scales1);
    sample.add_gradients(kOutWeight, stage.grad_h, stage.mixed);
    product(sample.turned(kOutWeight), stage.grad_h, none, none, stage.grad_u, pitch, p.fields);
    __syncthreads();
    A* dq = stage.grad_qkv;
    attend_backward<Size>(
        sample.attention(), stage.grad_u, stage.mixed, stage.reciprocals, stage.most, stage.offset, dq, dq + p.block,
        dq + 2 * p.block);
    __syncthreads();
    sample.add_gradients(kQkvWeight, stage.grad_qkv, stage.x);
    product(
        sample.turned(kQkvWeight), stage.grad_qkv, none, static_cast<const A*>(stage.grad_h), stage.grad, pitch,
        p.fields);
    __syncthreads();
    if (p.padded > 0)  // the padded key and value are the biases
      for (int64_t c = p.channels + threadIdx.x; c < 3 * p.channels; c += blockDim.x)
        stage.sums[p.begin[kQkvBias] + c] += stage.grad_qkv[c * pitch + p.fields];
    from_channel_major(stage.grad, pitch, p.fields, p.channels, grad_x + b * values);
    __syncthreads();
  }
  for (int64_t i = threadIdx.x; i < p.parameters; i += blockDim.x) sums[blockIdx.x * p.parameters + i] = stage.sums[i];
}

// Adds the blocks' sums [blocks, parameters] up in order.
template <class T, class A>
__global__ void reduce(const A* sums, int64_t blocks, FieldAttentionPointers gradients, Plan p) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < p.parameters; i += int64_t{gridDim.x} * blockDim.x) {
    A sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += sums[block * p.parameters + i];
    int role = 0;
    while (i >= p.begin[role + 1]) ++role;
    narrow(sum, static_cast<T*>(gradients.data[role]) + (i - p.begin[role]));
  }
}

// The stage in global memory, where there must be one, and in the backward the blocks' sums behind it.
template <class A> int64_t stage_bytes(const Plan& p, bool backward) {
  const int64_t bytes = Stage<A>(nullptr, p, backward).entries * static_cast<int64_t>(sizeof(A));
  return needs_workspace(bytes) ? staged_blocks(p.batch) * bytes : 0;
}

}  // namespace

int64_t field_attention_workspace(Element type, int64_t batch, const FieldAttentionSizes& s, bool backward) {
  const Plan p(s, batch);
  int64_t bytes = 0;
  for_element(type, [&](auto* tag) {
    using A = typename Accumulate<std::remove_pointer_t<decltype(tag)>>::type;
    const int64_t sums = backward ? staged_blocks(batch) * p.parameters * static_cast<int64_t>(sizeof(A)) : 0;
    bytes = stage_bytes<A>(p, backward) + sums;
  });
  return bytes;
}

const char* field_attention(
    Element type, const void* x, const FieldAttentionPointers& parameters, void* out, void* mixed, void* reciprocals,
    void* workspace, int64_t batch, const FieldAttentionSizes& s, void* stream) {
  const Plan p(s, batch);
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = typename Accumulate<T>::type;
    for_head_size(s.size, [&](auto size) {
      const int64_t entries = Stage<A>(nullptr, p, false).entries;
      launch_staged<A>(
          forward<T, decltype(size)::value, A>, staged_blocks(batch), kThreads, entries, workspace, stream, entries,
          static_cast<const T*>(x), parameters, static_cast<T*>(out), static_cast<A*>(mixed),
          static_cast<A*>(reciprocals), p);
    });
  });
  return launch_error();
}

const char* field_attention_backward(
    Element type, const void* grad, const void* x, const FieldAttentionPointers& parameters, const void* mixed,
    const void* reciprocals, void* grad_x, const FieldAttentionPointers& gradients, void* workspace, int64_t batch,
    const FieldAttentionSizes& s, void* stream) {
  const Plan p(s, batch);
  for_element(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    using A = typename Accumulate<T>::type;
    const int64_t blocks = staged_blocks(batch), entries = Stage<A>(nullptr, p, true).entries;
    A* sums = reinterpret_cast<A*>(static_cast<char*>(workspace) + stage_bytes<A>(p, true));
    for_head_size(s.size, [&](auto size) {
      launch_staged<A>(
          backward<T, decltype(size)::value, A>, blocks, kThreads, entries, workspace, stream, entries,
          static_cast<const T*>(grad), static_cast<const T*>(x), parameters, static_cast<const A*>(mixed),
          static_cast<const A*>(reciprocals), static_cast<T*>(grad_x), sums, p);
    });
    const int64_t groups = (p.parameters + kThreads - 1) / kThreads;
    reduce<T, A><<<grid_size(groups), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const A*>(sums), blocks, gradients, p);
  });
  return launch_error();
}

}  // namespace nasrec::cuda
