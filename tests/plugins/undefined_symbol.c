/* A plug-in that calls a function which no library has. */
#include "tutti_plugin.h"

const tutti_plugin* tutti_tests_function_that_nobody_has(void);

const tutti_plugin* tutti_plugin_v1(void) { return tutti_tests_function_that_nobody_has(); }
