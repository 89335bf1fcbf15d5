/*
 * limits - the sums of plans, without clock or store.
 */
#include "presignd/limits.h"
