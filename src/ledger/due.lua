-- due - uploads whose packet is dead and that are not settled; nobody else gets them for a while.
--
-- KEYS[1] is the set of what is due; ARGV: [4] the prefix of all keys, [5] how many at most, [6] the
-- second in which the asking began, by the clock of whoever asks.
-- Answer: outcome, the time, how many wait, then the uploads (upload_row). What cannot be read, or
-- has nothing to settle, leaves the set.

local LEASE_S = 60
local prefix, most, asker_s = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local until_s = math.min(now_s, asker_s)

local out = { OK, now_s, redis.call('ZCOUNT', due, '-inf', whole(until_s)) }
local members = redis.call('ZRANGEBYSCORE', due, '-inf', whole(until_s), 'LIMIT', 0, most)
for _, member in ipairs(members) do
    user_hash = string.sub(member, 1, 32)
    user = prefix .. '{' .. user_hash .. '}'
    local u = upload_load(string.sub(member, 34))
    if not u or (u.charge ~= 'reserved' and u.state ~= 'granted') then
        redis.call('ZREM', due, member)
        out[3] = out[3] - 1
    elseif is_dead(u, asker_s) then
        redis.call('ZADD', due, whole(until_s + LEASE_S), member)
        upload_row(out, u)
    else
        redis.call('ZADD', due, whole(u.expires + GRACE_S), member)
        out[3] = out[3] - 1
    end
end
return out
