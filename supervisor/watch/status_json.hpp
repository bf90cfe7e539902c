// An ensemble's status as one JSON document: what the status socket serves and `tutti status --json` prints.
#pragma once

#include <string>

#include "supervisor/status.hpp"

namespace tutti {

/// One line, ended by a newline. Texts that came from workers are printable already; all are escaped.
std::string to_json(const EnsembleStatus& status, const std::string& ensemble, int pid);

}  // namespace tutti
