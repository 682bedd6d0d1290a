"""What the cache does within Redis, each script in one round trip and atomic (ADR 6).

The hash of a space holds `v`, the version of its owner's data; `<name>`, an answer behind a first line of its own
(`<soft end> <hard end> <tag>`, ends in ms of Unix time); `<name>?`, until when somebody fills it; `<name>!`, until when
a renewal of it is under way. All ends are judged by the clock of Redis, which all instances share.

A version is the time of the last write in µs, not a count: a count begins anew when the hash is evicted, and a fill
that began before would find its version again.
"""

# GCRA (ITU-T I.371): one timestamp per owner says when the bucket will be empty again. Answers one text, since each
# reply more costs the client a read: allowed, remaining, wait, reset (µs), version, what was found; after a line end,
# the answer that was kept.
LIMIT_AND_READ = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local next_tat = tat + interval
if next_tat - burst * interval > now then
  return string.format('0 0 %.0f %.0f 0 nothing\\n', next_tat - burst * interval - now, tat - now)
end
redis.call('SET', KEYS[1], string.format('%.0f', next_tat), 'PX', math.ceil((next_tat - now) / 1000))
local told = string.format('1 %.0f 0 %.0f ', math.floor((now + burst * interval - next_tat) / interval), next_tat - now)
if not KEYS[2] then return told .. '0 nothing\\n' end

local ms, name = math.floor(now / 1000), ARGV[3]
local kept = redis.call('HMGET', KEYS[2], 'v', name)
local version, answer = kept[1], kept[2]
local soft, hard = string.match(answer or '', '^(%d+) (%d+) ')
if soft and tonumber(soft) > ms then return told .. version .. ' fresh\\n' .. answer end

local stale = hard and tonumber(hard) > ms
local lease, lasts = name .. '?', ARGV[4]
if stale then lease, lasts = name .. '!', ARGV[5] end
local mine = tonumber(redis.call('HGET', KEYS[2], lease) or 0) <= ms
if mine then
  if not version then
    version = string.format('%.0f', now)
    redis.call('HSET', KEYS[2], 'v', version)
  end
  redis.call('HSET', KEYS[2], lease, string.format('%.0f', ms + lasts))
  redis.call('EXPIRE', KEYS[2], 86400)
end
if stale then return told .. version .. (mine and ' renew\\n' or ' stale\\n') .. answer end
return told .. version .. (mine and ' miss\\n' or ' busy\\n')
"""

# For who waits until somebody else has filled it: the answer, once it is fresh.
LOOK = """
local t = redis.call('TIME')
local answer = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local soft = string.match(answer, '^(%d+) ')
return soft and tonumber(soft) > t[1] * 1000 + t[2] / 1000 and answer or ''
"""

# An owner asks in ever new ways: past ARGV[4] fields all answers go, so that nobody fills the cache.
FILL = """
local v = redis.call('HGET', KEYS[1], 'v')
if v ~= ARGV[1] then return 0 end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'v', v)
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[2] .. '?', ARGV[2] .. '!')
redis.call('EXPIRE', KEYS[1], 86400)
return 1
"""

# Drops all answers and leases: what was under way is refused when it comes to fill, and the next reader begins anew.
BUMP = """
local t = redis.call('TIME')
local v = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('HGET', KEYS[1], 'v') or 0) + 1)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', string.format('%.0f', v))
redis.call('EXPIRE', KEYS[1], 86400)
return 1
"""

LEASE = "return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0"
