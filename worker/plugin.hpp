// Models from shared libraries, behind the C interface of shared/tutti_plugin.h.
//
// A plug-in is foreign code in our process: nothing here can stop it from crashing, hanging or writing where
// it likes, and nothing tries to. That is why each isolate is a process of its own. What is checked is what
// an honest mistake looks like: a library that is none, was built for another interface, lacks a function,
// reports a shape that cannot be, forgets to write its answer or throws. Each becomes an error that says so.
#pragma once

#include <memory>

#include "shared/error.hpp"
#include "worker/model.hpp"

namespace tutti {

/// Loads the library at source.path (absolute) and opens one state in it. The model has the shape that the
/// plug-in reports; adapting it to the ensemble is the caller's part.
/// The library stays loaded until the process ends: threads it started would otherwise run in unmapped code.
/// Errors: bad_model with the loader's or the plug-in's own text.
Result<std::unique_ptr<Model>> load_plugin(const ModelSource& source);

}  // namespace tutti
