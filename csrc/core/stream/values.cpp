#include "core/stream/values.hpp"

#include <array>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "core/stream/placement.hpp"

namespace truetile {
namespace {

constexpr std::int64_t kMaxLayers = 512;
constexpr std::int64_t kMaxEdge = std::int64_t{1} << 24;
constexpr double kMaxElements = 4398046511104.0;  // 2^42, of one value

/// Throws `name=value: must be allowed where`. Every schedule checks its layers: callers ask
/// first, so that the texts are made for an error only.
[[noreturn]] void fail(std::string_view name, std::string_view value, std::string_view allowed,
                       std::string_view where) {
  throw InvalidArgument(text(name, "=", value, ": must be ", allowed, where));
}

void check_size(const Size& size, std::string_view where) {
  constexpr std::array<std::string_view, 4> kNames = {"frames", "rows", "columns", "channels"};
  for (std::size_t i = 0; i < 4; ++i) require_range(kNames[i], size[i], 1, kMaxEdge, where);
  const double elements =
      static_cast<double>(size[0] * size[1]) * static_cast<double>(size[2] * size[3]);
  if (elements > kMaxElements) fail("size", text(elements), "at most 2^42 elements", where);
}

void check_rule(const AxisRule& rule, std::string_view where) {
  require_range("kernel", rule.kernel, 1, 16, where);
  require_range("stride", rule.stride, 1, 4, where);
  require_range("before", rule.before, 0, rule.kernel - 1, where);
  require_range("after", rule.after, 0, rule.kernel - 1, where);
  require_range("up", rule.up, 1, 2, where);
  const bool three = rule.kernel == 3 && rule.stride == 1 && rule.before == 1 && rule.after == 1;
  if (rule.up != 1 && !three) {
    fail("up", text(rule.up), "1 unless kernel=3, stride=1, before=1, after=1", where);
  }
}

void check_shuffle(const Shuffle& shuffle, std::string_view where) {
  require_range("up", shuffle.up, 1, 4, where);
  require_range("down", shuffle.down, 1, shuffle.up > 1 ? 1 : 4, where);
}

void check_groups(const StreamLayer& layer, std::string_view where) {
  require_range("groups", layer.groups, 0, layer.in_channels, where);
  if (layer.groups == 0 || layer.in_channels % layer.groups == 0) return;
  fail("groups", text(layer.groups), text("a divisor of in_channels=", layer.in_channels), where);
}

std::string_view name_of(TimeRule rule) {
  constexpr std::array<std::string_view, 5> kNames = {"SAME", "DOUBLE", "HALVE", "DOUBLE_ALL",
                                                      "HALVE_ALL"};
  return kNames[static_cast<std::size_t>(rule)];
}

void check_time(const StreamLayer& layer, std::string_view where) {
  const bool three = layer.kind == LayerKind::kConv && layer.kernel_t == 3 && layer.padded;
  if (layer.time_rule == TimeRule::kSame || three) return;
  fail("time_rule", name_of(layer.time_rule), "SAME unless a padded convolution with kernel_t=3",
       where);
}

/// The size of a layer's residual as the layer reads it.
Size shortcut_size(const StreamLayer& layer, const Size& size) {
  const auto& [t, h, w, c] = size;
  const bool known = layer.residual_channels == c;
  return {frames_made(layer.shortcut.time, t), layer.shortcut.size(h), layer.shortcut.size(w),
          known ? layer.out_channels : c};
}

void check_residual(const StreamLayer& layer, const std::vector<Size>& sizes, const Size& made,
                    std::string_view where) {
  if (layer.residual == 0 && layer.shortcut != Shuffle{}) {
    fail("residual", "0", "read row by row, the input is not unpacked", where);
  }
  if (layer.residual < 0) return;
  if (shortcut_size(layer, sizes[static_cast<std::size_t>(layer.residual)]) != made) {
    fail("residual", text(layer.residual), "a value of the layer's size", where);
  }
}

void check_shuffled(const StreamLayer& layer, std::string_view where) {
  const std::int64_t packed = layer.shuffle.averaged(layer.in_channels, 1);
  const std::int64_t unpacked = layer.out_channels * layer.shuffle.up * layer.shuffle.up *
                                (doubles(layer.shuffle.time) ? 2 : 1);
  if (packed == unpacked) return;
  fail("out_channels", text(layer.out_channels), "such that a shuffle keeps every value", where);
}

}  // namespace

std::int64_t value_bytes(const Size& size, std::int64_t elem_bytes) noexcept {
  return size[0] * size[1] * size[2] * size[3] * elem_bytes;
}

std::int64_t store_bytes(const Size& size, std::int64_t elem_bytes) noexcept {
  return round_up(value_bytes(size, elem_bytes), kTorchBlock);
}

std::vector<Size> value_sizes(const Layers& layers, const Size& clip) {
  require_range("layers", static_cast<std::int64_t>(layers.size()), 1, kMaxLayers);
  check_size(clip, " (input)");
  std::vector<Size> sizes = {clip};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const StreamLayer& layer = layers[i];
    const auto index = static_cast<std::int64_t>(i);
    const std::string where = " (layer " + std::to_string(index) + ")";
    require_range("source", layer.source, 0, index, where);
    require_range("residual", layer.residual, -1, index, where);
    require_range("kernel_t", layer.kernel_t, 1, 8, where);
    check_rule(layer.rows, where);
    check_rule(layer.columns, where);
    check_shuffle(layer.shuffle, where);
    check_shuffle(layer.shortcut, where);
    const Size source = sizes[static_cast<std::size_t>(layer.source)];
    const auto& [t, h, w, c] = source;
    require_range("in_channels", layer.in_channels, c, c, where);
    require_range("out_channels", layer.out_channels, 1, kMaxEdge, where);
    check_groups(layer, where);
    check_time(layer, where);
    const Size size = {layer.frames(t), layer.height(h), layer.width(w), layer.out_channels};
    check_size(size, where);
    check_residual(layer, sizes, size, where);
    if (layer.kind == LayerKind::kShuffle) check_shuffled(layer, where);
    if (layer.attends() && source != size) {
      fail("out_channels", text(layer.out_channels), "such that attention keeps its size", where);
    }
    sizes.push_back(size);
  }
  return sizes;
}

std::vector<bool> clean_cuts(const Layers& layers) {
  std::vector<bool> clean(layers.size() + 1, true);
  for (std::size_t index = 0; index < layers.size(); ++index) {
    for (const std::int64_t value : {layers[index].source, layers[index].residual}) {
      if (value < 0) continue;
      for (std::size_t cut = static_cast<std::size_t>(value) + 1; cut <= index; ++cut) {
        clean[cut] = false;
      }
    }
  }
  return clean;
}

}  // namespace truetile
