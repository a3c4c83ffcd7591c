#include <algorithm>

#include "kernels/blend.hpp"
#include "kernels/cpu/half.hpp"

namespace truetile {
namespace {

// Pixels of a row that are worked on at a time: they stay in the first-level cache as float32.
constexpr std::int64_t kChunk = 512;

template <class T>
void load(const T* from, std::int64_t stride, std::int64_t n, float* v) noexcept {
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) v[i] = to_float(from[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) v[i] = to_float(from[i * stride]);
  }
}

template <class T>
void store(const float* v, std::int64_t n, T* to, std::int64_t stride) noexcept {
  if (stride == 1) {
    for (std::int64_t i = 0; i < n; ++i) from_float(v[i], to[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) from_float(v[i], to[i * stride]);
  }
}

void add(const BlendLine& line, std::int64_t at, std::int64_t n, float* v) noexcept {
  const float* from = line.data + at;
  for (std::int64_t i = 0; i < n; ++i) v[i] += from[i * line.strides.x];
}

/// Weights on x of pixels [x, x + n): only the ends of a row have any.
void fade(const Ramp& ramp, std::int64_t x, std::int64_t n, float* v) noexcept {
  const std::int64_t led = std::clamp<std::int64_t>(ramp.led() - x, 0, n);
  const std::int64_t untailed = std::clamp<std::int64_t>(ramp.untailed() - x, 0, n);
  for (std::int64_t i = 0; i < led; ++i) v[i] *= ramp.weight(x + i);
  for (std::int64_t i = untailed; i < n; ++i) v[i] *= ramp.weight(x + i);
}

// Comparisons, not std::clamp or fmin: NaN fails both and so stays.
void finish(const BlendTask& task, std::int64_t n, float* v) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    float value = v[i] * task.scale + task.shift;
    value = value < task.lo ? task.lo : value;
    v[i] = value > task.hi ? task.hi : value;
  }
}

template <class In, class Out>
void blend_row(const BlendTask& task, std::int64_t c, std::int64_t t, std::int64_t y) noexcept {
  const In* block = static_cast<const In*>(task.block) + c * task.block_strides.c +
                    task.block_strides.at(t, y, 0);
  Out* dst = static_cast<Out*>(task.dst) + c * task.dst_strides.c + task.dst_strides.at(t, y, 0);
  const float weight = task.t.weight(t) * task.y.weight(y);
  const bool led_t = task.line_t.data != nullptr && t < task.t.led();
  const bool led_y = task.line_y.data != nullptr && y < task.y.led();

  float v[kChunk];  // load fills it
  for (std::int64_t x = 0; x < task.x.size; x += kChunk) {
    const std::int64_t n = std::min(kChunk, task.x.size - x);
    const auto at = [&](const BlendLine& line) {
      return c * line.strides.c + line.strides.at(t, y, x);
    };
    load(block + x * task.block_strides.x, task.block_strides.x, n, v);
    if (weight != 1.0F) {
      for (std::int64_t i = 0; i < n; ++i) v[i] *= weight;
    }
    fade(task.x, x, n, v);
    if (led_t) add(task.line_t, at(task.line_t), n, v);
    if (task.line_x.data != nullptr && x < task.x.led()) {
      add(task.line_x, at(task.line_x), std::min(n, task.x.led() - x), v);
    }
    if (led_y) add(task.line_y, at(task.line_y), n, v);
    finish(task, n, v);
    store(v, n, dst + x * task.dst_strides.x, task.dst_strides.x);
  }
}

}  // namespace

void blend_rows_cpu(const BlendTask& task, std::int64_t begin, std::int64_t end) noexcept {
  with_type(task.block_dtype, [&](auto in) {
    with_type(task.dst_dtype, [&](auto out) {
      for (std::int64_t row = begin; row < end; ++row) {
        for (std::int64_t c = 0; c < task.channels; ++c) {
          blend_row<decltype(in), decltype(out)>(task, c, row / task.y.size, row % task.y.size);
        }
      }
    });
  });
}

}  // namespace truetile
