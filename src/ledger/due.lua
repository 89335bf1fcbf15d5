-- due - uploads whose packet is dead and that are not settled; nobody else gets them for a while.
--
-- KEYS[1] is the set of what is due; ARGV: [4] the prefix of all keys, [5] how many at most.
-- Answer: outcome, the time, how many wait, then the uploads (upload_row).

local LEASE_S = 60
local prefix, most = ARGV[4], tonumber(ARGV[5])

local out = { OK, now_s, redis.call('ZCOUNT', due, '-inf', whole(now_s)) }
local members = redis.call('ZRANGEBYSCORE', due, '-inf', whole(now_s), 'LIMIT', 0, most)
for _, member in ipairs(members) do
    user_hash = string.sub(member, 1, 32)
    user = prefix .. '{' .. user_hash .. '}'
    local u = upload_load(string.sub(member, 34))
    if u and is_dead(u) and (u.charge == 'reserved' or u.state == 'granted') then
        redis.call('ZADD', due, whole(now_s + LEASE_S), member)
        upload_row(out, u)
    else
        redis.call('ZREM', due, member)
        out[3] = out[3] - 1
    end
end
return out
