/*
 * object_look - one HEAD.
 */
#include "presignd/object_look.h"
