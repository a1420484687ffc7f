#include "cpu/team.h"

#include <pthread.h>
#include <sched.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <utility>

#include "cpu/gemm.h"

#ifdef NASREC_X86
#include <immintrin.h>
#endif

namespace nasrec {
namespace {

constexpr int kMostParts = 255;  // a byte of the call word
// Multiply-adds of a part: some 4 us, a few times what a warm helper takes to answer.
constexpr double kGrain = 1 << 18;
// A helper looks out for work this long before it sleeps: longer than the gap between two operators of one model,
// shorter than anyone would miss the core.
constexpr auto kSpin = std::chrono::microseconds(100);
constexpr int kPausesBeforeYield = 2000;  // about 20 us; then other threads may have the core

inline void pause() {
#ifdef NASREC_X86
  _mm_pause();
#endif
}

// Control word of floating-point arithmetic, which torch.set_flush_denormal sets for its own threads alone.
inline unsigned float_control() {
#ifdef NASREC_X86
  return _mm_getcsr();
#else
  return 0;
#endif
}
inline void set_float_control([[maybe_unused]] unsigned control) {
#ifdef NASREC_X86
  _mm_setcsr(control);
#endif
}

struct Job {
  const TeamPhase* phases;
  unsigned float_control;
};

// One run at a time. Parts are claimed, by the thread of the same number if it comes in time and else by any that is
// free: a helper that sleeps, or whose core is busy with something else, delays nothing but the part it is at.
//
// A run is announced by `call`: its number, count of phases and of parts. A claim's word holds the run and phase that
// the part waits for, so a helper that comes late, in a later run even, fails to claim; and only who has claimed a part
// reads `job`, which cannot change before that part is done.
struct Team {
  std::atomic<bool> taken{false};
  std::atomic<uint64_t> call{0};
  std::atomic<uint64_t> claims[kMostParts] = {};
  std::atomic<int64_t> done{0};  // parts, over all phases
  std::atomic<bool> failed{false};
  std::exception_ptr error;  // of the part that set `failed`
  Job job{};
  int helpers = 0;
};

struct Call {
  uint64_t word;
  int parts() const { return static_cast<int>(word & 0xff); }
  int phases() const { return static_cast<int>(word >> 8 & 0xff); }
  uint64_t claim(int phase) const { return (word >> 16 << 8) + static_cast<uint64_t>(phase); }
  Call next(int phases, int parts) const {
    return {((word >> 16) + 1) << 16 | static_cast<uint64_t>(phases) << 8 | static_cast<uint64_t>(parts)};
  }
};

Team* team = new Team;  // never destroyed: helpers look at it until the process ends
thread_local bool inside = false;

void run_claimed(int phase, int part, int parts) {
  if (!team->failed.load(std::memory_order_relaxed)) {
    try {
      team->job.phases[phase].call(team->job.phases[phase].body, part, parts);
    } catch (...) {
      if (!team->failed.exchange(true)) team->error = std::current_exception();
    }
  }
  team->done.fetch_add(1, std::memory_order_acq_rel);
}

// Takes part in a run: `number` 0 is the thread that announced it, which stays until all is done.
void take_part(Call call, int number) {
  const int parts = call.parts(), phases = call.phases();
  for (int phase = 0; phase < phases; ++phase) {
    for (int turn = 0; turn < parts; ++turn) {
      const int part = (number + turn) % parts;
      uint64_t waiting = call.claim(phase);
      if (!team->claims[part].compare_exchange_strong(waiting, call.claim(phase + 1), std::memory_order_acq_rel))
        continue;
      if (number != 0) set_float_control(team->job.float_control);
      run_claimed(phase, part, parts);
    }
    if (number != 0 && phase + 1 == phases) return;
    const int64_t all = static_cast<int64_t>(parts) * (phase + 1);
    for (int turn = 0; team->done.load(std::memory_order_acquire) < all; ++turn) {
      if (number != 0 && team->call.load(std::memory_order_acquire) != call.word) return;
      turn < kPausesBeforeYield ? pause() : static_cast<void>(sched_yield());
    }
  }
}

// The next call after `seen`.
uint64_t wait_for_call(uint64_t seen) {
  const auto start = std::chrono::steady_clock::now();
  for (int turn = 1;; ++turn) {
    const uint64_t call = team->call.load(std::memory_order_acquire);
    if (call != seen) return call;
    pause();
    if (turn % 64 == 0) {
      if (turn > kPausesBeforeYield) sched_yield();
      if (std::chrono::steady_clock::now() - start > kSpin) break;
    }
  }
  team->call.wait(seen, std::memory_order_acquire);
  return team->call.load(std::memory_order_acquire);
}

struct Start {
  int number;
  uint64_t seen;
};

void* helper(void* given) {
  const Start start = *static_cast<Start*>(given);
  delete static_cast<Start*>(given);
  inside = true;
  blas_threads_of_this_thread(1);
  for (uint64_t seen = start.seen;;) {
    seen = wait_for_call(seen);
    take_part({seen}, start.number);
  }
  return nullptr;
}

// OpenMP may have pinned this thread to one core (OMP_PROC_BIND, GOMP_CPU_AFFINITY), and new threads inherit that: the
// helper is let loose on every other core that the system grants.
void unpin([[maybe_unused]] pthread_attr_t* attributes) {
#ifdef __linux__
  cpu_set_t mine;
  if (std::getenv("OMP_PROC_BIND") == nullptr && std::getenv("GOMP_CPU_AFFINITY") == nullptr) return;
  if (sched_getaffinity(0, sizeof mine, &mine) != 0 || CPU_COUNT(&mine) != 1) return;
  cpu_set_t others;
  CPU_ZERO(&others);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (!CPU_ISSET(cpu, &mine)) CPU_SET(cpu, &others);
  pthread_attr_setaffinity_np(attributes, sizeof others, &others);
#endif
}

bool add_helper() {
  static const int at_fork = pthread_atfork(nullptr, nullptr, [] { team = new Team; });  // threads do not survive it
  static_cast<void>(at_fork);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  unpin(&attributes);
  pthread_t thread;
  Start* start = new Start{team->helpers + 1, team->call.load()};
  bool made = pthread_create(&thread, &attributes, helper, start) == 0;
  if (!made) {  // no core but the pinned one is granted
    pthread_attr_destroy(&attributes);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    made = pthread_create(&thread, &attributes, helper, start) == 0;
  }
  pthread_attr_destroy(&attributes);
  if (!made) delete start;
  team->helpers += made;
  return made;
}

bool take_team(int parts) {
  if (inside || team->taken.exchange(true, std::memory_order_acquire)) return false;
  while (team->helpers < parts - 1)
    if (!add_helper()) {
      team->taken.store(false, std::memory_order_release);
      return false;
    }
  return true;
}

void run_alone(int parts, const TeamPhase* phases, int count) {
  for (int phase = 0; phase < count; ++phase)
    for (int part = 0; part < parts; ++part) phases[phase].call(phases[phase].body, part, parts);
}

// GEMMs of a phase run on the phase's own thread.
class OneBlasThread {
 public:
  OneBlasThread() : before_(blas_threads_of_this_thread(1)) {}
  ~OneBlasThread() { blas_threads_of_this_thread(before_); }

 private:
  int before_;
};

}  // namespace

int team_parts(double work) {
  const double worth = std::min(work / kGrain, static_cast<double>(kMostParts));
  return std::max(1, std::min(static_cast<int>(torch::stable::get_num_threads()), static_cast<int>(worth)));
}

void team_run_phases(int parts, const TeamPhase* phases, int count) {
  const OneBlasThread one;
  if (parts == 1 || !take_team(parts)) return run_alone(parts, phases, count);
  const Call call = Call{team->call.load()}.next(count, parts);
  team->job = {phases, float_control()};
  team->done.store(0, std::memory_order_relaxed);
  team->failed.store(false, std::memory_order_relaxed);
  for (int part = 0; part < parts; ++part) team->claims[part].store(call.claim(0), std::memory_order_relaxed);
  team->call.store(call.word, std::memory_order_release);
  team->call.notify_all();
  inside = true;
  take_part(call, 0);
  inside = false;
  const std::exception_ptr error = team->failed ? std::exchange(team->error, nullptr) : nullptr;
  team->taken.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

}  // namespace nasrec
