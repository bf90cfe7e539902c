// The template: the process that loads a member's model once and forks its isolates.
//
//   load ── warm up ── Notice loaded ──▶ wait for orders ──ForkOrder──▶ fork ──▶ isolate (be_isolate)
//                 └── Notice failed                ▲                     │
//                                                  └─────────────────────┘
//
// A fork shares the model's pages with the template until one of them writes; starting an isolate costs a
// fork and not a load. The child is made with CLONE_PARENT: it is the supervisor's to watch and to reap, and
// goes on when the template dies. Only a process with one thread can be forked so; a model that has more, or
// says that it cannot be forked, is loaded by each isolate for itself: the supervisor then starts a worker
// per isolate, which becomes the first isolate that is ordered.
#pragma once

#include "shared/control.hpp"
#include "shared/message.hpp"
#include "shared/region.hpp"
#include "worker/cage.hpp"

namespace tutti {

/// Loads the model that `start` names, reports, and obeys orders until the supervisor hangs up. Returns the
/// process's exit status.
int be_template(const StartBlock& start, const Result<Caged>& caged, Descriptor control, const Region& input);

}  // namespace tutti
