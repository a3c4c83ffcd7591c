#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/stream/layer.hpp"

namespace truetile {

/// Rows of each layer of a segment that belong to a row of its output.
///
/// `layers` are the segment's own, the first one is `first`; `heights` are the rows of all values.
/// A row is carried backwards through the layers: entry i is about what layer `first + i` makes.
class Frontiers {
 public:
  using Rows = std::vector<std::int64_t>;
  /// Of output rows: what a plan that begins there makes, the frontiers where a strip ends there,
  /// or these as if no value had a first row nor a last one.
  enum class Edge : std::uint8_t { kBegin, kEnd, kReach };

  Frontiers(Layers layers, std::int64_t first, Rows heights);

  [[nodiscard]] const Layers& layers() const noexcept { return layers_; }
  /// Index of a value among what the segment makes, or -1 when it comes from outside.
  [[nodiscard]] std::int64_t inside(std::int64_t value) const noexcept {
    return value > first_ ? value - 1 - first_ : -1;
  }
  [[nodiscard]] std::int64_t source_height(std::size_t at) const;
  /// Of what layer `at` makes.
  [[nodiscard]] std::int64_t made_height(std::size_t at) const;
  /// Of the output.
  [[nodiscard]] std::int64_t height() const { return made_height(layers_.size() - 1); }

  /// `row` of the output, carried back to every layer.
  [[nodiscard]] Rows pull(std::int64_t row, Edge edge) const;
  /// First row of each value that a layer will still read after these frontiers.
  [[nodiscard]] Rows keep_from(const Rows& frontiers) const;

 private:
  [[nodiscard]] std::int64_t residual_height(std::size_t at) const;

  Layers layers_;
  std::int64_t first_;
  Rows heights_;
};

}  // namespace truetile
