#pragma once

#include <cstdint>

#include "core/stream/layer.hpp"
#include "random.hpp"

namespace truetile::testing {

/// Programs like those of real VAEs and stranger ones, of one channel but where it is shuffled.
/// Width never matters to a schedule but as a factor.
class ProgramMaker {
 public:
  explicit ProgramMaker(Random& random) : random_(random) {}

  /// A decoder: perhaps attention, then residual blocks between upsamplings.
  Layers decoder(bool attention) {
    conv(3, 3);
    if (random_.one_in(3)) layers_.back().residual = 0;
    if (attention) attend();
    for (std::int64_t level = random_.in(0, 3); level > 0; --level) {
      const std::int64_t before = value();
      blocks();
      const bool pairs = random_.one_in(2);
      const TimeRule rule = pairs ? TimeRule::kDouble : TimeRule::kSame;
      if (random_.one_in(3)) {
        unpack({.up = random_.in(2, 3), .time = rule});
      } else {
        const bool at_once = pairs && random_.one_in(2);
        if (pairs && !at_once) time(LayerKind::kTimeUp);
        upsample();
        if (at_once) resample_time(TimeRule::kDouble);
      }
      const StreamLayer& last = layers_.back();
      const std::int64_t up = last.kind == LayerKind::kShuffle ? last.shuffle.up : last.rows.up;
      if (random_.one_in(2)) shortcut(before, {.up = up, .time = rule});
    }
    blocks();
    conv(3, random_.one_in(2) ? 3 : 1);
    return layers_;
  }

  /// The mirror: downsamplings first, attention last.
  Layers encoder(bool attention) {
    conv(3, 3);
    for (std::int64_t level = random_.in(0, 3); level > 0; --level) {
      const std::int64_t before = value();
      blocks();
      const bool pairs = random_.one_in(2);
      const TimeRule rule = pairs ? TimeRule::kHalve : TimeRule::kSame;
      if (random_.one_in(3)) {
        add(LayerKind::kShuffle).padded = false;
        layers_.back().shuffle = {.down = 2, .time = rule};
        layers_.back().out_channels = pairs ? 8 : 4;
        conv(3, 3);
      } else {
        downsample();
        if (pairs && random_.one_in(2)) {
          resample_time(TimeRule::kHalve);
        } else if (pairs) {
          time(LayerKind::kTimeDown);
        }
      }
      if (random_.one_in(2)) shortcut(before, {.down = 2, .time = rule});
    }
    blocks();
    if (attention) attend();
    conv(1, 1);
    return layers_;
  }

  /// A program for a clip that goes on from another one, where no frame stands alone, if its layers
  /// can do so.
  static Layers going_on(Layers layers) {
    for (StreamLayer& layer : layers) {
      const bool alone = layer.kind == LayerKind::kTimeUp || layer.kind == LayerKind::kTimeDown;
      if (alone) return layers;
    }
    for (StreamLayer& layer : layers) {
      for (TimeRule* rule : {&layer.time_rule, &layer.shuffle.time, &layer.shortcut.time}) {
        if (*rule == TimeRule::kDouble) *rule = TimeRule::kDoubleAll;
        if (*rule == TimeRule::kHalve) *rule = TimeRule::kHalveAll;
      }
    }
    return layers;
  }

  /// So many frames that the layers can halve them as often as they do.
  std::int64_t frames_for(const Layers& layers) {
    std::int64_t unit = 1;
    std::int64_t alone = 1;
    for (const StreamLayer& layer : layers) {
      if (halves(layer.time())) unit *= 2;
      if (layer.time() == TimeRule::kHalveAll) alone = 0;
    }
    return alone + unit * random_.in(1 - alone, 4);
  }

  /// Group norms before some of the layers of a program.
  Layers with_norms(Layers layers) {
    for (StreamLayer& layer : layers) {
      const bool conv = layer.kind == LayerKind::kConv && layer.padded;
      const bool takes = conv || layer.kind == LayerKind::kAttention;
      if (takes && !random_.one_in(3)) layer.groups = 1;
    }
    return layers;
  }

 private:
  std::int64_t value() const { return static_cast<std::int64_t>(layers_.size()); }

  StreamLayer& add(LayerKind kind) {
    const std::int64_t channels = layers_.empty() ? 1 : layers_.back().out_channels;
    layers_.push_back(
        {.kind = kind, .source = value(), .in_channels = channels, .rows = {}, .columns = {}});
    return layers_.back();
  }

  /// A convolution to as many channels as are then taken apart.
  void unpack(const Shuffle& rule) {
    conv(3, 3);
    const std::int64_t pair = rule.time == TimeRule::kDouble ? 2 : 1;
    layers_.back().out_channels = rule.up * rule.up * pair;
    add(LayerKind::kShuffle).padded = false;
    layers_.back().shuffle = rule;
  }

  /// Adds `before`, read through `rule`, to what the last layer makes.
  void shortcut(std::int64_t before, const Shuffle& rule) {
    layers_.back().residual = before;
    layers_.back().shortcut = rule;
    layers_.back().residual_channels = 1;
  }

  void conv(std::int64_t kernel, std::int64_t kernel_t) {
    StreamLayer& layer = add(LayerKind::kConv);
    layer.rows = {.kernel = kernel, .before = kernel / 2, .after = kernel / 2};
    layer.kernel_t = kernel_t;
    layer.padded = kernel > 1 || kernel_t > 1 || random_.one_in(2);
  }

  void attend() {
    StreamLayer& layer = add(random_.one_in(3) ? LayerKind::kClipAttention : LayerKind::kAttention);
    layer.padded = false;
    layer.way = static_cast<AttentionWay>(random_.in(0, 2));
  }
  void time(LayerKind kind) { add(kind); }
  void resample_time(TimeRule rule) {
    layers_.back().time_rule = rule;
    layers_.back().kernel_t = 3;
  }

  void upsample() {
    add(LayerKind::kConv).rows = {.kernel = 3, .before = 1, .after = 1, .up = 2};
    layers_.back().columns = layers_.back().rows;
  }

  void downsample() {
    add(LayerKind::kConv).rows = {.kernel = 3, .stride = 2, .before = 0, .after = 1};
    layers_.back().columns = layers_.back().rows;
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

/// A decoder or encoder without norms, and a clip that it can take.
struct Case {
  Layers layers;
  Size clip = {};
};

inline Case random_case(Random& random, bool attention) {
  ProgramMaker maker(random);
  Case made;
  const bool decoding = random.one_in(2);
  made.layers = decoding ? maker.decoder(attention) : maker.encoder(attention);
  if (random.one_in(3)) made.layers = ProgramMaker::going_on(made.layers);
  const std::int64_t rows = decoding ? random.in(1, 9) : random.in(8, 40);
  made.clip = {maker.frames_for(made.layers), rows, decoding ? 1 : 8, 1};
  return made;
}

}  // namespace truetile::testing
