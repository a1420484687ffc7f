// The threads that CPU operators share. They are ours rather than OpenMP's because most operators here take 50 to 500
// us, and waking an OpenMP thread that sleeps (OMP_WAIT_POLICY=passive) costs 58 to 83 us per parallel region, where a
// helper that has just worked is still spinning and answers within about 1 us. How many take part is torch's setting
// (torch.set_num_threads).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace nasrec {

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// The share of one part of `count` items; shares begin at multiples of `multiple`.
inline Range split(int64_t count, int part, int parts, int64_t multiple = 1) {
  const int64_t units = (count + multiple - 1) / multiple;
  const int64_t begin = units * part / parts * multiple, end = units * (part + 1) / parts * multiple;
  return {std::min(begin, count), std::min(end, count)};
}

// How many parts work of this many multiply-adds (or loads and stores of about as much time) is worth: 1 to torch's
// number of threads. It depends on the two alone, so that results do too.
int team_parts(double work);

struct TeamPhase {
  void (*call)(const void* body, int part, int parts);
  const void* body;
};

// See team_run.
void team_run_phases(int parts, const TeamPhase* phases, int count);

// Calls each phase, a function (int part, int parts), once for every part, the parts side by side; all parts of a phase
// end before the next phase starts. Where the helpers are taken (a call from inside a phase, or from several threads
// at once), one thread calls all parts in order: results must depend on `parts`, not on who runs them. The first
// exception is thrown again when all have stopped.
template <class... Phase> void team_run(int parts, const Phase&... phases) {
  const TeamPhase list[] = {{[](const void* body, int part, int of) {
    (*static_cast<const std::remove_reference_t<Phase>*>(body))(part, of);
  }, &phases}...};
  team_run_phases(parts, list, sizeof...(Phase));
}

}  // namespace nasrec
