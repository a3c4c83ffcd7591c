#include "core/stream/layer_call.hpp"

#include <algorithm>

#include "core/stream/attention.hpp"
#include "core/stream/placement.hpp"
#include "core/stream/values.hpp"

namespace truetile {
namespace {

constexpr std::int64_t kFp32Bytes = 4;
// Convolutions take a scratch of their own, as measured: none to 24 MiB, or less than twice their
// result where that is less.
constexpr std::int64_t kConvolutionScratch = std::int64_t{24} << 20;
// Pixels have no more channels. An input of them is copied into blocks, which end so many columns
// later.
constexpr std::int64_t kFewChannels = 4;
constexpr std::int64_t kBlockColumns = 16;

/// Of the clip, besides where it lands: two steps of its conversion at once.
std::int64_t converting(const Size& size) noexcept { return 2 * store_bytes(size, kFp32Bytes); }

}  // namespace

std::int64_t LayerCall::bytes() const noexcept {
  if (layer.attends()) {
    const std::int64_t count = attention_bytes(tokens, queries, made[3], elem_bytes, layer.way);
    return round_up(count, kTorchBlock);
  }
  std::int64_t total = 0;
  if (layer.kind == LayerKind::kShuffle) {
    // It copies nothing but what it makes for the host.
    total = last ? blocks(made) : 0;
  } else {
    total = convolution();
  }
  if (layer.averages()) total += blocks(made);
  if (layer.source == 0) {
    // Where there is a padded input, it is all that is left of what was read.
    if (layer.kind != LayerKind::kConv || !layer.padded) total += blocks(read);
    total = std::max(total, converting(read));
  }
  if (layer.residual == 0) total += converting(added());
  return total;
}

std::int64_t LayerCall::landing_bytes() const noexcept {
  const std::int64_t source = layer.source == 0 ? store_bytes(read, kFp32Bytes) : 0;
  const std::int64_t residual = layer.residual == 0 ? store_bytes(added(), kFp32Bytes) : 0;
  return std::max(source, residual);
}

std::int64_t LayerCall::departure_bytes() const noexcept {
  return made[3] <= kFewChannels ? store_bytes(made, kFp32Bytes) : 0;
}

std::int64_t LayerCall::convolution() const noexcept {
  const std::int64_t own = blocks(result());
  std::int64_t total = own + std::min(kConvolutionScratch, 2 * own);
  if (!layer.padded) {
    total += blocks(read);  // which it may copy
  } else if (layer.in_channels <= kFewChannels) {
    total += blocks({padded[0], padded[1], padded[2] + kBlockColumns, padded[3]});
  }
  // The phases of a result that has no place of its own are put together in a new one.
  if (phases() > 1 && last && !placed) total += blocks(made);
  return total;
}

std::int64_t LayerCall::phases() const noexcept {
  return layer.up_t() * layer.rows.up * layer.columns.up;
}

/// Of the convolution: phases are side by side in the channels, one row and column of each too
/// many.
Size LayerCall::result() const noexcept {
  std::int64_t frames = convolved;
  if (layer.kind == LayerKind::kTimeUp) frames *= 2;
  if (layer.kind == LayerKind::kTimeDown) frames /= 2;
  if (layer.kind == LayerKind::kConv && halves(layer.time())) frames = made[0];
  return {frames, layer.rows.up > 1 ? padded[1] - 1 : made[1],
          layer.columns.up > 1 ? padded[2] - 1 : made[2], made[3] * phases()};
}

/// The most that it adds.
Size LayerCall::added() const noexcept {
  return {made[0], made[1], made[2],
          layer.residual_channels > 0 ? layer.residual_channels : made[3]};
}

std::int64_t LayerCall::blocks(const Size& size) const noexcept {
  return store_bytes(size, elem_bytes);
}

}  // namespace truetile
