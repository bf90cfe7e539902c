// Every limit of tutti in one place, so that their sums can be seen and checked.
//
// A limit bounds what a config, a file, a client or a worker can make us allocate, loop over or wait for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti {

inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::size_t kPage = 4096;

// ---- the shape of an ensemble ----
inline constexpr std::uint32_t kMembersMax = 64;
inline constexpr std::uint32_t kInstancesMax = 64;  // of one member
inline constexpr std::uint32_t kIsolatesMax = 256;  // of one ensemble
inline constexpr std::uint32_t kFeaturesMax = 1U << 20;
inline constexpr std::uint32_t kOutputsMax = 65'536;  // classes, or 1 for regression
inline constexpr std::size_t kNameMax = 64;           // bytes of an ensemble's or member's name
inline constexpr std::size_t kLabelMax = 256;         // bytes of a class or a column: other people's tables
inline constexpr std::size_t kPathMax = 1024;
inline constexpr std::size_t kReadableMax = 16;        // paths of one list in isolation.read
inline constexpr std::size_t kReadableTextMax = 1920;  // bytes of the ensemble's list and a member's

// ---- requests ----
inline constexpr std::uint32_t kInFlightMin = 2;  // request slots; a power of two
inline constexpr std::uint32_t kInFlightDefault = 8;
inline constexpr std::uint32_t kInFlightMax = 1024;
inline constexpr std::uint32_t kRowsDefault = 1024;  // rows of one request
inline constexpr std::uint32_t kRowsMax = 1U << 20;
inline constexpr std::uint64_t kRegionBytesMax = 4ULL << 30;  // of one shared-memory region

// ---- files ----
inline constexpr std::uint64_t kConfigBytesMax = 1ULL << 20;
inline constexpr std::uint64_t kModelBytesMax = 4ULL << 30;
inline constexpr std::uint32_t kTreesMax = 1U << 20;      // of one model
inline constexpr std::uint32_t kTreeNodesMax = 1U << 24;  // of one tree
inline constexpr std::uint64_t kModelNodesMax = 1ULL << 28;
inline constexpr std::uint32_t kLayersMax = 256;
inline constexpr std::uint32_t kJsonDepthMax = 64;
// The format allows 100 MB; a header that describes kLayersMax layers needs 1 % of this.
inline constexpr std::size_t kSafetensorsHeaderMax = 4U << 20;
inline constexpr std::size_t kSafetensorsRankMax = 8;
inline constexpr std::size_t kCsvLineBytesMax = 16U << 20;
inline constexpr std::size_t kNpyHeaderBytesMax = 65'536;

// ---- texts that a worker sends ----
inline constexpr std::size_t kWorkerTextMax = 512;  // bytes of what, where or hint in a hello
inline constexpr std::size_t kAnswerTextMax = 256;  // bytes of a failed request's message
inline constexpr std::size_t kLogLineMax = 1024;    // longer lines are cut
inline constexpr std::size_t kLogBytesPerSecondMax =
    65'536;  // of one isolate; beyond it lines are counted only

static_assert(kIsolatesMax >= kMembersMax, "every member has at least one isolate");
static_assert((kInFlightMax & (kInFlightMax - 1)) == 0 && (kInFlightDefault & (kInFlightDefault - 1)) == 0);

}  // namespace tutti
