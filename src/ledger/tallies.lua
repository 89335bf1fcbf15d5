-- tallies - what operators see and set: a user's tallies as they are stored.
--
-- ARGV: [4] the verb, [5] the limit's name, [6] an amount, [7] the kind that "set" may make ("" none),
-- [8] the beginning of its window.
-- Answer: outcome, then of each tally ("show") name, kind, start, used, reserved, tat.

local WINDOW_MOST_S = 31 * 86400
local name, value = ARGV[5], tonumber(ARGV[6])

local function each(change)
    local stored = redis.call('HGETALL', user)
    for i = 1, #stored, 2 do
        local t = tally_read(stored[i], stored[i + 1])
        if t then
            change(t)
        end
    end
    return { #stored > 0 and OK or NOT_FOUND }
end

-- What has a number of its own that was used up: a rate has none, open places are counted anew.
local function countable(t)
    return t and (t.kind == 'count' or t.kind == 'bytes')
end

local verbs = {}

function verbs.show()
    local out = {}
    local found = each(function(t)
        if t.kind == 'open' then
            t.reserved = redis.call('ZCOUNT', user .. ':o', '(' .. whole(now_s), '+inf')
        end
        for _, v in ipairs({ t.name, t.kind, t.start, t.used, t.reserved, t.tat }) do
            out[#out + 1] = v
        end
    end)
    table.insert(out, 1, found[1])
    return out
end

function verbs.adjust()
    local t = tally_load(name)
    if not countable(t) then
        return { NOT_FOUND }
    end
    t.used = bounded(t.used + value)
    tally_save(t)
    return { OK }
end

function verbs.set()
    local t = tally_load(name)
    if not t or (ARGV[7] ~= '' and (t.kind ~= ARGV[7] or t.start ~= tonumber(ARGV[8]))) then
        if ARGV[7] == '' then
            return { NOT_FOUND }
        end
        t = { name = name, kind = ARGV[7], start = tonumber(ARGV[8]), used = 0, reserved = 0, tat = 0 }
    end
    if not countable(t) then
        return { NOT_FOUND }
    end
    local known = redis.call('EXISTS', user) == 1
    t.used = bounded(value)
    tally_save(t)
    if not known and t.start > 0 then
        redis.call('EXPIRE', user, WINDOW_MOST_S)
    end
    return { OK }
end

function verbs.reset()
    return each(function(t)
        t.used, t.tat = 0, 0
        tally_save(t)
    end)
end

function verbs.give_back()
    return each(function(t)
        if t.kind == 'bytes' and t.start == 0 then
            t.used = bounded(t.used - value)
            tally_save(t)
        end
    end)
end

return verbs[ARGV[4]]()
