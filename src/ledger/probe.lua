-- probe - does the server take what the other scripts write, from this user? Stands alone.
-- KEYS[1], "<prefix>{probe}", is the beginning of all keys; none is left.

local key, hash, set = KEYS[1], KEYS[1] .. ':h', KEYS[1] .. ':z'

redis.call('TIME')
redis.call('SET', key, '-', 'EX', 5)
redis.call('GET', key)
redis.call('GETRANGE', key, 0, 0)
redis.call('SETRANGE', key, 0, '+')
redis.call('EXISTS', key)
redis.call('HSET', hash, 'name', 'value')
redis.call('HGET', hash, 'name')
redis.call('HMGET', hash, 'name')
redis.call('HGETALL', hash)
redis.call('TTL', hash)
redis.call('PERSIST', hash)
redis.call('EXPIRE', hash, 5)
redis.call('ZADD', set, 1, 'member')
redis.call('ZCOUNT', set, '-inf', 1)
redis.call('ZRANGE', set, -1, -1)
redis.call('ZRANGEBYSCORE', set, '-inf', 1)
redis.call('ZREMRANGEBYRANK', set, 0, 0)
redis.call('ZREM', set, 'member')
redis.call('DEL', key, hash, set)
return 0
