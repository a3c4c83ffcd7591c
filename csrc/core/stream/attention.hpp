#pragma once

#include <cstdint>
#include <vector>

namespace truetile {

// How attention is split into calls, and what each takes. Queries are projected by the piece,
// whose memory the calls share, and scored by fewer rows.

/// What computes attention; each takes other memory.
enum class AttentionWay : std::uint8_t {
  kFused = 0,     ///< one kernel of the framework, which keeps no scores
  kProducts = 1,  ///< two plain products with a softmax between them
  kMath = 2       ///< the framework's own products, of float32 copies
};

/// How many of `tokens` queries of attention are scored at once where nothing else is said.
[[nodiscard]] std::int64_t attention_rows(std::int64_t tokens, AttentionWay way) noexcept;

/// Numbers of queries to choose from, falling: with more at once there are fewer calls, and whole
/// keys are read less often. Only one where no scores are kept.
[[nodiscard]] std::vector<std::int64_t> attention_choices(std::int64_t tokens, AttentionWay way);

/// How many of `tokens` are projected at once, if `rows` are scored at once; a multiple of that, or
/// all.
[[nodiscard]] std::int64_t attention_piece(std::int64_t tokens, std::int64_t rows) noexcept;

/// What an attention takes at most, if `rows` queries are scored at once.
[[nodiscard]] std::int64_t attention_bytes(std::int64_t tokens, std::int64_t rows,
                                           std::int64_t channels, std::int64_t elem_bytes,
                                           AttentionWay way) noexcept;

}  // namespace truetile
