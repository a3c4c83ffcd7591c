#include "core/stream/attention.hpp"

#include <algorithm>
#include <bit>

namespace truetile {
namespace {

constexpr std::int64_t kScores = std::int64_t{1} << 24;  // elements of a block of attention scores
constexpr std::int64_t kScoredRows = 128;  // at least: products of fewer rows leave a GPU idle
constexpr std::int64_t kPiece = 4096;      // tokens: with fewer, launches take longer than the work
// To choose from: a quarter of the usual scores at least, and four times as many at most.
constexpr std::int64_t kMostScores = 4 * kScores;
constexpr std::int64_t kFewestScores = kScores / 4;
constexpr std::int64_t kFewestRows = 32;
// A core takes 32 rows (GPU) to 256 (CPU) of a fused call: with fewer in all, cores are idle.
constexpr std::int64_t kFusedRows = 8192;
constexpr std::int64_t kFp32Bytes = 4;
// Torch's CUDA allocator divides a block only where more than a megabyte would be left of it. Five
// may be so at once: of what is read, of weights, of tokens with queries, of scores, of softmax.
// A way of attending does not say the device, so that they count on the CPU, too.
constexpr std::int64_t kUndivided = 1 << 20;
constexpr std::int64_t kUndividedBlocks = 5;

}  // namespace

std::int64_t attention_rows(std::int64_t tokens, AttentionWay way) noexcept {
  if (way == AttentionWay::kFused) return std::min(tokens, kFusedRows);
  return std::min(tokens, std::max(kScoredRows, kScores / tokens));
}

std::vector<std::int64_t> attention_choices(std::int64_t tokens, AttentionWay way) {
  if (way == AttentionWay::kFused) return {attention_rows(tokens, way)};
  // Powers of two: a GPU's products come in blocks of such numbers of rows.
  const auto rows = [tokens](std::int64_t scores, std::int64_t least) {
    const auto most = static_cast<std::uint64_t>(std::max<std::int64_t>(1, scores / tokens));
    return std::min(tokens, std::max(least, static_cast<std::int64_t>(std::bit_floor(most))));
  };
  const std::int64_t fewest = rows(kFewestScores, kFewestRows);
  std::vector<std::int64_t> found = {rows(kMostScores, kScoredRows)};
  while (found.back() / 2 >= fewest) found.push_back(found.back() / 2);
  return found;
}

std::int64_t attention_piece(std::int64_t tokens, std::int64_t rows) noexcept {
  return std::min(tokens, std::max<std::int64_t>(1, kPiece / rows) * rows);
}

std::int64_t attention_bytes(std::int64_t tokens, std::int64_t rows, std::int64_t channels,
                             std::int64_t elem_bytes, AttentionWay way) noexcept {
  const std::int64_t seen = tokens * channels;
  const std::int64_t few = rows * channels;
  const std::int64_t scores = rows * tokens;
  // The normed tokens, which are keys and values; a piece of queries and what they see.
  std::int64_t values = seen + 2 * attention_piece(tokens, rows) * channels;
  std::int64_t fp32 = 0;
  const bool coarse = elem_bytes != kFp32Bytes;
  switch (way) {
    case AttentionWay::kFused:
      // A result, and what adds up to it.
      values += few;
      fp32 = few;
      break;
    case AttentionWay::kProducts:
      // Scores, which become weights in place where these are float32.
      values += coarse ? scores : 0;
      fp32 = scores;
      break;
    case AttentionWay::kMath:
      // Scaled keys and queries, scores, weights and a result. In a coarser dtype keys, values and
      // queries are copied before, weights and result after.
      values += coarse ? scores + few : 0;
      fp32 = seen + 2 * few + 2 * scores + (coarse ? 2 * seen + few : 0);
      break;
  }
  const std::int64_t undivided = seen * elem_bytes > kUndivided ? kUndividedBlocks * kUndivided : 0;
  return values * elem_bytes + fp32 * kFp32Bytes + undivided;
}

}  // namespace truetile
