"""What all workers know of a utility together, in Redis: who is calling it, and how the latest calls ended.

    {<provider_id>}:calling   sorted set   a lease for each call that is under way, by when it ends
    {<provider_id>}:probing   sorted set   those of them that try whether the utility is back
    {<provider_id>}:latest    list         the latest calls: when, how they ended, for whom; newest first
    {<provider_id>}:circuit   hash         open_until, pause: the breaker; tat: the rate; told, told_at: reported health

One script when a call begins, one when it ends: a round trip each, and atomic. A lease ends by itself, so a worker that
crashed frees its place. The clock is Redis's own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.bill_aggregation_service.model import LinkId, ProviderId

if TYPE_CHECKING:
    from functions.common.cache import Cache

# Both answer one line of text. `report` names the health that is to be reported: what the registry was last known to
# say differs, and nobody has told it the same a moment ago.
COMMON = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local calling, probing, latest, circuit = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function get(name) return tonumber(redis.call('HGET', circuit, name) or '') end
local function kept() redis.call('PEXPIRE', circuit, 86400000) end
local function report(health, known, patience)
  if health == '-' or health == known then return '-' end
  local told = redis.call('HMGET', circuit, 'told', 'told_at')
  if told[1] == health and now - tonumber(told[2]) < patience then return '-' end
  redis.call('HSET', circuit, 'told', health, 'told_at', now)
  kept()
  return health
end
"""
# Half-open: the breaker was open, and its pause is over. GCRA for the rate, as in functions/common/cache.py.
ENTER = (
    COMMON
    + """
local token, lease, places, rate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local probes, known, patience = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local open_until = get('open_until')
if open_until then
  redis.call('ZREMRANGEBYSCORE', probing, '-inf', now)
  if open_until > now or redis.call('ZCARD', probing) >= probes then
    local wait = math.max(open_until - now, 1000)
    return string.format('open %d %s', wait, report('down', known, patience))
  end
end
redis.call('ZREMRANGEBYSCORE', calling, '-inf', now)
if places > 0 and redis.call('ZCARD', calling) >= places then return 'full 0 -' end
if rate > 0 then
  local interval = 60000 / rate
  local tat = math.max(get('tat') or now, now) + interval
  local wait = tat - math.max(places, 1) * interval - now
  if wait > 0 then return string.format('full %d -', math.ceil(wait)) end
  redis.call('HSET', circuit, 'tat', tat)
  kept()
end
for _, leases in ipairs(open_until and {calling, probing} or {calling}) do
  redis.call('ZADD', leases, now + lease, token)
  if lease > redis.call('PTTL', leases) then redis.call('PEXPIRE', leases, lease) end
end
return 'pass 0 -'
"""
)
# Of each link only its latest call counts: one account that is tried again and again says nothing of the others.
LEAVE = (
    COMMON
    + """
local token, link, ending = ARGV[1], ARGV[2], ARGV[3]
local window, links_needed, kept_calls = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local first_pause, longest_pause, known, patience = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
redis.call('ZREM', calling, token)
local probe = redis.call('ZREM', probing, token) == 1
local open, event = get('open_until'), '-'
local function open_for(pause)
  redis.call('HSET', circuit, 'open_until', now + pause, 'pause', pause)
  kept()
  open, event = now + pause, 'opened'
end
if open and probe and ending == 'answered' then
  redis.call('HDEL', circuit, 'open_until')
  redis.call('DEL', latest, probing)
  open, event = nil, 'closed'
elseif open and probe and ending == 'failed' then
  open_for(math.min((get('pause') or first_pause) * 2, longest_pause))
end
if ending ~= 'unknown' then
  redis.call('LPUSH', latest, now .. ' ' .. ending .. ' ' .. link)
  redis.call('LTRIM', latest, 0, kept_calls - 1)
  redis.call('PEXPIRE', latest, window)
end
local seen, links, failed = {}, 0, 0
for _, call in ipairs(redis.call('LRANGE', latest, 0, -1)) do
  local at, ended, whose = string.match(call, '^(%S+) (%S+) (%S+)$')
  if now - tonumber(at) > window then break end
  if not seen[whose] then
    seen[whose] = true
    links = links + 1
    if ended == 'failed' then failed = failed + 1 end
  end
end
if not open and links >= links_needed and failed * 2 >= links then open_for(first_pause) end
local health = '-'
if open then health = 'down'
elseif failed >= 2 and failed * 5 >= links then health = 'degraded'
elseif links > failed then health = 'up' end
return string.format('%s %s %s', event, health, report(health, known, patience))
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All times in milliseconds."""

    places: int = 16
    """Calls under way to one utility at a time, from all workers; 0: any number."""
    per_minute: int = 0
    """Calls begun per minute, evenly, after a burst as large as there are places; 0: any number."""
    window_ms: int = 60_000
    """How long a call counts."""
    links: int = 5
    """Of fewer distinct links nothing is concluded."""
    first_pause_ms: int = 30_000
    longest_pause_ms: int = 600_000
    """How long the breaker stays open: the first time, doubled with each probe that fails, and at most."""
    probes: int = 2
    """Calls at a time that try whether the utility is back."""
    kept_calls: int = 100
    report_again_ms: int = 30_000
    """A report that got lost is made again after this."""


@dataclass(frozen=True, slots=True)
class Entered:
    """`verdict`: pass, full (worth another try, after `wait_ms` if that is known), or open (refused for `wait_ms`)."""

    verdict: str
    wait_ms: int
    report: str
    """The health to report to the registry: up, degraded or down; empty for none."""


@dataclass(frozen=True, slots=True)
class Left:
    event: str
    """opened, closed, or empty."""
    health: str
    """up, degraded, down, or empty when too little is known."""
    report: str


class Breaker:
    """None, and no protection, where Redis does not answer in time."""

    def __init__(self, cache: "Cache", limits: Limits) -> None:
        self._cache = cache
        self.limits = limits

    def enter(self, provider_id: ProviderId, token: str, lease_ms: int, known_health: str) -> Entered | None:
        """Asks for a place for a call that lasts no longer than its lease."""
        own = self.limits
        answer = self._cache.run(
            ENTER,
            _keys(provider_id),
            [token, lease_ms, own.places, own.per_minute, own.probes, known_health, own.report_again_ms],
        )
        if answer is None:
            return None
        verdict, wait_ms, report = answer.decode().split()
        return Entered(verdict, int(wait_ms), _word(report))

    def leave(
        self, provider_id: ProviderId, token: str, link_id: LinkId, ending: str, known_health: str
    ) -> Left | None:
        """Gives the place back. `ending`: answered, failed, or unknown for a call that says nothing of the utility."""
        own = self.limits
        answer = self._cache.run(
            LEAVE,
            _keys(provider_id),
            [
                token, link_id, ending, own.window_ms, own.links, own.kept_calls, own.first_pause_ms,
                own.longest_pause_ms, known_health, own.report_again_ms,
            ],
        )  # fmt: skip
        if answer is None:
            return None
        event, health, report = map(_word, answer.decode().split())
        return Left(event, health, report)


def _keys(provider_id: ProviderId) -> list[str]:
    return [f"{{{provider_id}}}:{name}" for name in ("calling", "probing", "latest", "circuit")]


def _word(text: str) -> str:
    return "" if text == "-" else text
