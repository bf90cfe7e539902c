// An ensemble's status as one JSON document: what the status socket serves and `tutti status --json` prints.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "supervisor/status.hpp"

namespace tutti {

/// One line, ended by a newline. Texts that came from workers are printable already; all are escaped.
std::string to_json(const EnsembleStatus& status, const std::string& ensemble, int pid);

/// A member's tiers; null for a model that knows none, or when nothing was said yet.
nlohmann::ordered_json to_json(const TierStatus& status);

}  // namespace tutti
