-- handed - the packets of these uploads are on their way to the client: such may be kept.
-- ARGV: ids. Stands alone: it follows each grant, and changes one byte (base.lua has the layout).

for i = 1, #ARGV do
    local key = KEYS[1] .. ':u:' .. ARGV[i]
    if redis.call('GETRANGE', key, 0, 0) == '-' then
        redis.call('SETRANGE', key, 0, '+')
    end
end
return 0
