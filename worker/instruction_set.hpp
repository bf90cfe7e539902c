// Which of the instruction sets that kernels are compiled for this CPU runs, and which a test or a user asked
// for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti {

/// Each runs what the one before it runs, too.
enum class InstructionSet : std::uint8_t { portable, avx2, avx512 };
inline constexpr std::size_t kInstructionSets = 3;

/// The widest that this CPU and the operating system run.
InstructionSet widest_instruction_set() noexcept;

/// The widest, or the environment's TUTTI_CPU ("portable", "avx2", "avx512") where that names one that runs;
/// other words are passed over. Looked up once.
InstructionSet chosen_instruction_set() noexcept;

}  // namespace tutti
