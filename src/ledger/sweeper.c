/*
 * sweeper - settles what is due, a few at a time.
 */
#include "presignd/sweeper.h"
