// Where the installed package has its tutti-worker, told to a static library that cannot know it.
//
//   tutti-targets.cmake ──TUTTI_WORKER_PATH──▶ a program that includes tutti.hpp ──kPackagedWorker──▶
//   find_worker()
//
// The library is compiled before anybody chooses a prefix, and the package may be moved after that. What does
// know the place is the package's CMake file, when it is read: it gives the path to every program that links
// tutti::tutti, and the program's own object files carry it.
#pragma once

namespace tutti {

// Weak as declared: null in a program that was not built with the package, such as tutti itself.
// Weak as defined: any number of the program's source files may include this.
[[gnu::weak]] extern const char kPackagedWorker[];
#ifdef TUTTI_WORKER_PATH
[[gnu::weak, gnu::used]] extern const char kPackagedWorker[] = TUTTI_WORKER_PATH;
#endif

}  // namespace tutti
