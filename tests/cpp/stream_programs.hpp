#pragma once

#include <cstdint>

#include "core/stream/layer.hpp"
#include "random.hpp"

namespace truetile::testing {

/// Programs like those of real VAEs and stranger ones, one column wide. Width never matters to a
/// schedule but as a factor.
class ProgramMaker {
 public:
  explicit ProgramMaker(Random& random) : random_(random) {}

  /// A decoder: perhaps attention, then residual blocks between upsamplings.
  Layers decoder(bool attention) {
    conv(3, 3);
    if (attention) attend();
    for (std::int64_t level = random_.in(0, 3); level > 0; --level) {
      blocks();
      if (random_.one_in(2)) time(LayerKind::kTimeUp);
      upsample();
    }
    blocks();
    conv(3, random_.one_in(2) ? 3 : 1);
    return layers_;
  }

  /// The mirror: downsamplings first, attention last.
  Layers encoder(bool attention) {
    conv(3, 3);
    for (std::int64_t level = random_.in(0, 3); level > 0; --level) {
      blocks();
      downsample();
      if (random_.one_in(2)) time(LayerKind::kTimeDown);
    }
    blocks();
    if (attention) attend();
    conv(1, 1);
    return layers_;
  }

 private:
  std::int64_t value() const { return static_cast<std::int64_t>(layers_.size()); }

  StreamLayer& add(LayerKind kind) {
    layers_.push_back({.kind = kind, .source = value(), .rows = {}, .columns = {}});
    return layers_.back();
  }

  void conv(std::int64_t kernel, std::int64_t kernel_t) {
    StreamLayer& layer = add(LayerKind::kConv);
    layer.rows = {.kernel = kernel, .before = kernel / 2, .after = kernel / 2};
    layer.kernel_t = kernel_t;
    layer.padded = kernel > 1 || kernel_t > 1 || random_.one_in(2);
  }

  void attend() { add(LayerKind::kAttention).padded = false; }
  void time(LayerKind kind) { add(kind); }

  void upsample() {
    const std::int64_t kernel = random_.one_in(4) ? 1 : 3;
    add(LayerKind::kConv).rows = {
        .kernel = kernel, .before = kernel / 2, .after = kernel / 2, .up = random_.in(2, 3)};
  }

  void downsample() {
    add(LayerKind::kConv).rows = {.kernel = 3, .stride = 2, .before = 0, .after = 1};
  }

  /// Residual blocks, some with a shortcut of their own, some with kernels of 1.
  void blocks() {
    for (std::int64_t count = random_.in(0, 2); count > 0; --count) {
      const std::int64_t before = value();
      conv(random_.one_in(4) ? 1 : 3, random_.one_in(4) ? 1 : 3);
      const std::int64_t middle = value();
      std::int64_t added = before;
      if (random_.one_in(3)) {
        conv(1, 1);
        layers_.back().source = before;
        added = value();
      }
      conv(3, random_.one_in(4) ? 1 : 3);
      layers_.back().source = middle;
      layers_.back().residual = added;
    }
  }

  Random& random_;
  Layers layers_;
};

}  // namespace truetile::testing
