#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "stream_calls.hpp"
#include "stream_machine.hpp"

namespace truetile::testing {

/// The memory of a segment, on cells of 8 bytes: every window and padded input lies in one
/// workspace at the planned offset, so that a wrong lifetime destroys a cell that is still read.
/// `strip` and `chunk` are those that are being made.
struct StreamMemory {
  static constexpr Cell kGarbage = 0xdeadbeefULL;

  const Schedule& schedule;
  std::vector<Plane>& values;  ///< of the program: what other segments made, and this one's
  std::vector<Cell> workspace;
  std::vector<Cell> moments;                   ///< of whole values
  std::vector<Plane> lines = {}, caches = {};  ///< of each layer
  Heap heap = {};
  StripRows strip = {};
  std::vector<LayerFrames> chunk = {};

  StreamMemory(const Schedule& planned, std::vector<Plane>& all, std::vector<Cell> known)
      : schedule(planned),
        values(all),
        workspace(static_cast<std::size_t>(planned.workspace_bytes() / 8), kGarbage),
        moments(std::move(known)) {
    for (const Size& size : schedule.lines()) lines.push_back(reserve(size));
    for (const Size& size : schedule.caches()) caches.push_back(reserve(size));
    heap.take(schedule.workspace_bytes());
    heap.take(landing_bytes(schedule));
    heap.take(departure_bytes(schedule));
  }

  [[nodiscard]] std::size_t first() const {
    return static_cast<std::size_t>(schedule.segment().first);
  }

  /// A cell of a window (buffer 2 * layer + 1) or a padded input (2 * layer) of `rows`.
  Cell& cell(std::size_t buffer, std::int64_t rows, std::int64_t t, std::int64_t h) {
    return workspace.at(static_cast<std::size_t>(schedule.offsets()[buffer] / 8 + t * rows + h));
  }

  /// A cell of any value in this strip and chunk; frames and rows are global.
  Cell look(std::int64_t value, std::int64_t t, std::int64_t h) {
    const std::int64_t index = value - 1 - schedule.segment().first;
    if (index < 0) return values[static_cast<std::size_t>(value)].at(t, h);
    const auto at = static_cast<std::size_t>(index);
    const Span window = strip.values[at].window;
    EXPECT_TRUE(h >= window.begin && h < window.end);
    return cell(2 * at + 1, window.length(), t - chunk[at].out.begin, h - window.begin);
  }

  /// A cell of a layer's source as its norm makes it.
  Cell see(const StreamLayer& layer, std::int64_t t, std::int64_t h) {
    return normed(layer, look(layer.source, t, h));
  }

  [[nodiscard]] Cell normed(const StreamLayer& layer, Cell read) const {
    if (layer.groups == 0) return read;
    return testing::normed(layer, moments.at(static_cast<std::size_t>(layer.source)), read);
  }

  /// Spoils the window of what layer `at` makes, if it has one.
  void poison_window(std::size_t at) {
    if (at + 1 == schedule.layers().size()) return;
    poison(2 * at + 1, chunk[at].out.length(), strip.values[at].window.length());
  }

  void poison(std::size_t buffer, std::int64_t frames, std::int64_t rows) {
    for (std::int64_t t = 0; t < frames; ++t) {
      for (std::int64_t h = 0; h < rows; ++h) cell(buffer, rows, t, h) = kGarbage;
    }
  }

 private:
  Plane reserve(const Size& size) {
    heap.take(size[0] * size[1] * size[2] * size[3] * 8);
    Plane plane(size[0], size[1]);
    std::fill(plane.cells.begin(), plane.cells.end(), kGarbage);
    return plane;
  }
};

}  // namespace truetile::testing
