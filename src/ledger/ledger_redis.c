/*
 * ledger_redis - questions of a loop as scripts of Redis.
 */
#include "presignd/ledger_redis.h"
