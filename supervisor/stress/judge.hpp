// What a stress run comes to: one row for each fault, medians, and what did not hold.
//
// A fault holds if every answer was right, in time and given once, if nobody else missed a vote, if nothing
// is left behind, and if the others' 99th percentile did not grow: by half and by a millisecond over the
// quiet stretches right before and after, and to more than nearly all quiet stretches of the run show by
// themselves.
#pragma once

#include <cstdint>

#include "supervisor/stress/campaign.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/stress.hpp"

namespace tutti::stress {

/// From the journal and report.strikes, for each of report.faults.
void judge_faults(StressReport& report, const Journal& journal);

/// Of a campaign of `wanted` kills: one row. Latencies are told, not judged: the load was full.
void judge_campaign(StressReport& report, const Journal& journal, const Campaign::Toll& toll,
                    std::uint64_t wanted);

}  // namespace tutti::stress
