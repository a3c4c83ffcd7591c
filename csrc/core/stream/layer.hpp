#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/stream/attention.hpp"
#include "core/stream/shuffle.hpp"

namespace truetile {

// A program is a list of layers. Value 0 is its input, value i + 1 what layer i makes; a layer
// reads an earlier value and may add another one (its residual). No weights here: geometry only.

using Size = std::array<std::int64_t, 4>;  ///< frames, rows, columns, channels

/// What a layer does beyond its spatial geometry. The time kinds double and halve the frames behind
/// the first one, which passes unchanged. Attention covers a whole frame, or the whole clip. A
/// shuffle has no weights.
enum class LayerKind : std::uint8_t {
  kConv = 0,
  kAttention = 1,
  kTimeUp = 2,
  kTimeDown = 3,
  kClipAttention = 4,
  kShuffle = 5
};

/// A convolution along rows or columns: zeros around, kernel, stride.
///
/// With `up` of 2 it is nearest upsampling followed by a kernel of 3. An output then sees two
/// inputs only, so that it is done at the low resolution: outputs of one parity (a phase) are a
/// convolution of their own with two taps.
struct AxisRule {
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t before = 0;
  std::int64_t after = 0;
  std::int64_t up = 1;

  /// Inputs that an output reads.
  [[nodiscard]] std::int64_t taps() const noexcept { return up > 1 ? 2 : kernel; }
  /// The first input that output `out` reads; negative among the zeros before.
  [[nodiscard]] std::int64_t lead(std::int64_t out) const noexcept;
  /// Inputs needed for the outputs before `out`, as if there were no first and no last one.
  [[nodiscard]] std::int64_t reach(std::int64_t out) const noexcept {
    return lead(out - 1) + taps();
  }
  /// Inputs that outputs [begin, end) read, zeros included.
  [[nodiscard]] std::int64_t padded(std::int64_t begin, std::int64_t end) const noexcept {
    return lead(end - 1) + taps() - lead(begin);
  }
  /// Outputs of `n` inputs.
  [[nodiscard]] std::int64_t size(std::int64_t n) const noexcept;
  /// The first of `n` inputs that output `out` or a later one reads; n when there is none.
  [[nodiscard]] std::int64_t begin(std::int64_t out, std::int64_t n) const noexcept;
  /// How many of `n` inputs outputs [0, out) need; all of them for the last output.
  [[nodiscard]] std::int64_t end(std::int64_t out, std::int64_t n) const noexcept;
  bool operator==(const AxisRule&) const = default;
};

/// One layer.
struct StreamLayer {
  LayerKind kind = LayerKind::kConv;
  std::int64_t source = 0;  ///< the value it reads
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  std::int64_t residual = -1;  ///< the value it adds, or -1
  std::int64_t kernel_t = 1;   ///< frames a causal convolution sees, the last of them its own
  AxisRule rows;
  AxisRule columns;
  bool padded = true;     ///< its input is first written into a buffer with zeros around
  Shuffle shuffle = {};   ///< how a shuffle reads its source
  Shuffle shortcut = {};  ///< how any layer reads its residual
  std::int64_t residual_channels = 0;  ///< of its residual; 0: as many as its own
  /// Of the group norm before it, 0 without one: that needs the moments of the whole source first.
  std::int64_t groups = 0;
  /// Of a convolution: it halves the frames by a stride, or doubles them before it sees them. Each
  /// is repeated but the first one of the clip, before which copies of it stand. An output then
  /// sees two frames only, so that this is done with the frames that are there, like upsampling in
  /// space.
  TimeRule time_rule = TimeRule::kSame;
  AttentionWay way = AttentionWay::kFused;  ///< how it attends

  [[nodiscard]] bool attends() const noexcept {
    return kind == LayerKind::kAttention || kind == LayerKind::kClipAttention;
  }
  /// How many positions of a value of size `made` an attention sees: of a frame, or of the clip.
  [[nodiscard]] std::int64_t tokens(const Size& made) const noexcept {
    return (kind == LayerKind::kClipAttention ? made[0] : 1) * made[1] * made[2];
  }
  [[nodiscard]] TimeRule time() const noexcept;
  /// Phases in time of its convolution: 2 where that doubles the frames before it sees them.
  [[nodiscard]] std::int64_t up_t() const noexcept {
    return kind == LayerKind::kConv && doubles(time_rule) ? 2 : 1;
  }
  /// Frames that an output of its convolution reads.
  [[nodiscard]] std::int64_t taps_t() const noexcept {
    if (kind != LayerKind::kConv) return 3;
    return up_t() > 1 ? 2 : kernel_t;
  }
  /// As of `rows`, with shuffles taken into account.
  [[nodiscard]] std::int64_t begin(std::int64_t out, std::int64_t n) const noexcept;
  [[nodiscard]] std::int64_t end(std::int64_t out, std::int64_t n) const noexcept;
  [[nodiscard]] std::int64_t reach(std::int64_t out) const noexcept;
  /// Rows (columns) made of `n`.
  [[nodiscard]] std::int64_t height(std::int64_t n) const noexcept;
  [[nodiscard]] std::int64_t width(std::int64_t n) const noexcept;
  /// Whether adding the residual averages it first.
  [[nodiscard]] bool averages() const noexcept;
  /// Frames before a chunk that its convolution reads.
  [[nodiscard]] std::int64_t cached_frames() const noexcept;
  /// Frames complete when `n` input frames are.
  [[nodiscard]] std::int64_t frames(std::int64_t n) const noexcept;
  bool operator==(const StreamLayer&) const = default;
};

using Layers = std::vector<StreamLayer>;

}  // namespace truetile
