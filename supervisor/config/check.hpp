// Is a config sound? Its values one by one, then those that must fit each other.
#pragma once

#include <set>
#include <vector>

#include "supervisor/config/fault.hpp"
#include "supervisor/config/settings.hpp"

namespace tutti::settings {

/// What is wrong with a value of the right type.
std::vector<Fault> faults_of(const Setting& setting, const Value& value);

/// What is wrong with values that must fit each other. A check that needs a value in `broken` is left out:
/// that value has been reported, and what follows from it would only confuse. A broken {"member", "", kWhole}
/// says that the list of members itself cannot be relied on.
std::vector<Finding> cross_check(const EnsembleConfig& config, const std::set<Address>& broken,
                                 bool models_must_exist);

}  // namespace tutti::settings
