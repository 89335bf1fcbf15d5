/*
 * resp_link - a connection to Redis that is kept up.
 */
#include "presignd/resp_link.h"
