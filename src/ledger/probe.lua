-- probe - does the server take writes? Stands alone.

redis.call('SET', KEYS[1], '1', 'EX', 60)
return 0
