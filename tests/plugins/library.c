/* What the plug-in needs_library cannot do without. */
#include "tutti_plugin.h"

float steady_answer(void);
TUTTI_PLUGIN_EXPORT float steady_answer(void) { return 0.5F; }
