"""The compiled inner loops of `search`: take a few bins out, and buy anew for what they held.

Everything is in kinds of `Market`. Random numbers come from a state that is handed in, so that a
search repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray

DEAREST = 12.0  # by how many temperatures what is bought may be dearer before it is given up
DEAR_SHARE, DEAR_AMONG = 0.5, 4  # of the rounds, bins are the dearest among so many
FIRST_TYPES = 14  # of the candidates, tried each time; as many more at random
FIRST_PATTERNS = 10  # of the known ones, by chance


class Shop(NamedTuple):
    """What does not change.

    Args:
        demand: (kinds, dimensions); needs: (kinds, most) the dimensions of a kind, then -1.
        rooms: (types, dimensions); prices, spot, limits: (types,).
        order: types that are tried, the most promising first.
        on_spot: (kinds,) most items on spot.
        base: (kinds,) items that every zone has at least.
        extras: (kinds, zones + 1) items above that, in any k zones together at most.
        sizes: (measures, kinds) by which items may be put into order.
        patterns: (known, kinds) good contents of types `of`, by the linear program; may be none.
    """

    demand: IntArray
    needs: IntArray
    rooms: IntArray
    prices: IntArray
    spot: BoolArray
    limits: IntArray
    order: IntArray
    on_spot: IntArray
    base: IntArray
    extras: IntArray
    sizes: FloatArray
    patterns: IntArray
    of: IntArray


class Bins(NamedTuple):
    """A fleet, a row a bin: its type, zone and content; rows beyond `count` are scratch.

    `totals` has (count, cost).
    """

    types: IntArray
    zones: IntArray
    contents: IntArray
    totals: IntArray


class Book(NamedTuple):
    """What a fleet adds up to: (kinds, zones) items, (kinds,) items on spot, (types,) bins."""

    by_zone: IntArray
    on_spot: IntArray
    bought: IntArray


@njit(cache=True)
def chance(state: IntArray) -> float:
    """A number of [0, 1); Marsaglia (2003), Xorshift RNGs, J. Statistical Software 8(14)."""
    x = np.uint64(state[0])
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = np.int64(x)
    return float(x >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True)
def _below(state: IntArray, n: int) -> int:
    return min(int(chance(state) * n), n - 1)


@njit(cache=True)
def _swap(bins: Bins, i: int, j: int) -> None:
    if i == j:
        return
    bins.types[i], bins.types[j] = bins.types[j], bins.types[i]
    bins.zones[i], bins.zones[j] = bins.zones[j], bins.zones[i]
    for k in range(bins.contents.shape[1]):
        held = bins.contents[i, k]
        bins.contents[i, k] = bins.contents[j, k]
        bins.contents[j, k] = held


@njit(cache=True)
def _take_out(
    bins: Bins, book: Book, shop: Shop, left: IntArray, most: int, state: IntArray
) -> tuple[int, int, bool]:
    """Move up to `most` bins to the end, of one zone or of all, and their items to `left`.

    Returns (how many, what they cost, of all zones).
    """
    count = bins.totals[0]
    wanted = 1 + _below(state, min(most, count))
    zone = bins.zones[_below(state, count)]
    everywhere, dear = chance(state) < 0.4, chance(state) < DEAR_SHARE
    out, cost = 0, 0
    for _ in range(4 * wanted):
        if out in (wanted, count):
            break
        b = _below(state, count - out)
        if dear:  # few bins may make up most of the cost
            for _ in range(DEAR_AMONG - 1):
                other = _below(state, count - out)
                if shop.prices[bins.types[other]] > shop.prices[bins.types[b]]:
                    b = other
        if not everywhere and bins.zones[b] != zone:
            continue
        end = count - 1 - out
        _swap(bins, b, end)
        out += 1
        kind = bins.types[end]
        cost += shop.prices[kind]
        book.bought[kind] -= 1
        for g in range(left.shape[1]):
            n = bins.contents[end, g]
            left[bins.zones[end], g] += n
            if shop.spot[kind]:
                book.on_spot[g] -= n
    return out, cost, everywhere


@njit(cache=True)
def _may_move(book: Book, shop: Shop, kind: int, source: int, target: int) -> bool:
    """An item may change zones: each still has its share, floor or ceiling for all its owners."""
    zones = book.by_zone.shape[1]
    if book.by_zone[kind, source] <= shop.base[kind]:
        return False
    extras = book.by_zone[kind] - shop.base[kind]
    extras[source] -= 1
    extras[target] += 1
    extras.sort()
    total = 0
    for k in range(zones):
        total += extras[zones - 1 - k]
        if total > shop.extras[kind, k + 1]:
            return False
    return True


@njit(cache=True)
def _move(book: Book, shop: Shop, left: IntArray, state: IntArray) -> None:
    """Let some of the items left change zones, among those that have some left."""
    zones, kinds = left.shape
    for kind in range(kinds):
        source, target = _below(state, zones), _below(state, zones)
        if source == target or left[source, kind] == 0 or left[target].sum() == 0:
            continue
        if _may_move(book, shop, kind, source, target):
            left[source, kind] -= 1
            left[target, kind] += 1
            book.by_zone[kind, source] -= 1
            book.by_zone[kind, target] += 1


@njit(cache=True)
def _by_size(shop: Shop, left: IntArray, noise: float, state: IntArray) -> IntArray:
    """The kinds with items left, the largest first by a measure of chance."""
    first, second = _below(state, len(shop.sizes)), _below(state, len(shop.sizes))
    weight = chance(state) if noise > 0 else 1.0
    found, sizes = np.flatnonzero(left.sum(axis=0)), np.empty(left.shape[1])
    for i in range(len(found)):
        g = found[i]
        size = weight * shop.sizes[first, g] + (1 - weight) * shop.sizes[second, g]
        sizes[i] = -size * (1 + noise * (chance(state) - 0.5))
    return found[np.argsort(sizes[: len(found)])]


@njit(cache=True)
def _most_more(
    g: int, kind: int, shop: Shop, book: Book, left: IntArray, room: IntArray, held: int
) -> int:
    """How many more items of a kind a bin can take that has so many of them."""
    n = left[g] - held
    if shop.spot[kind]:
        n = min(n, shop.on_spot[g] - book.on_spot[g] - held)
    for k in shop.needs[g]:
        if k < 0 or n <= 0:
            break
        n = min(n, room[k] // shop.demand[g, k])
    return int(n)


@njit(cache=True)
def _fill(
    kind: int, shop: Shop, book: Book, left: IntArray, order: IntArray, room: IntArray,
    content: IntArray, values: FloatArray, known: int,
) -> float:  # fmt: skip
    """Fill one bin in this order, write its content; what that is worth.

    Args:
        known: the pattern to begin with, as far as its items are left; -1: none.
    """
    for k in range(len(room)):
        room[k] = shop.rooms[kind, k]
    worth = 0.0
    content[:] = 0
    for turn in range(0 if known >= 0 else 1, 2):
        for i in range(len(order)):
            g = order[i]
            if left[g] == content[i]:
                continue
            n = _most_more(g, kind, shop, book, left, room, content[i])
            if turn == 0:
                n = min(n, shop.patterns[known, g])
            if n <= 0:
                continue
            content[i] += n
            for k in shop.needs[g]:
                if k < 0:
                    break
                room[k] -= n * shop.demand[g, k]
            worth += n * values[int(shop.spot[kind]), g]
    return worth


@njit(cache=True)
def _candidate(i: int, count: int, state: IntArray) -> int:
    """Which of `count` candidates to try i-th: the first ones each time, others by chance."""
    if count <= 2 * FIRST_TYPES or i < FIRST_TYPES:
        return i
    x = chance(state)
    return FIRST_TYPES + min(int(x * x * (count - FIRST_TYPES)), count - FIRST_TYPES - 1)


@njit(cache=True)
def _buy(
    zone: int, shop: Shop, book: Book, left: IntArray, order: IntArray, values: FloatArray,
    noise: float, state: IntArray, new: Bins, row: int,
) -> int:  # fmt: skip
    """Add the bin that holds most worth for its price; its price, -1 if none holds anything."""
    room = np.empty(shop.rooms.shape[1], np.int64)
    content, best = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    highest, chosen, count = 0.0, -1, len(shop.order)
    count = min(count, 2 * FIRST_TYPES)
    for i in range(count + min(len(shop.of), FIRST_PATTERNS)):
        known = -1 if i < count else _below(state, len(shop.of))
        kind = shop.of[known] if known >= 0 else shop.order[_candidate(i, len(shop.order), state)]
        if book.bought[kind] >= shop.limits[kind]:
            continue
        worth = _fill(kind, shop, book, left[zone], order, room, content, values, known)
        score = worth / max(shop.prices[kind], 1) * (1 + noise * chance(state))
        if score > highest:
            highest, chosen = score, kind
            best[:] = content
    if chosen < 0:
        return -1
    new.types[row], new.zones[row] = chosen, zone
    new.contents[row] = 0
    book.bought[chosen] += 1
    for i in range(len(order)):
        new.contents[row, order[i]] = best[i]
        left[zone, order[i]] -= best[i]
        if shop.spot[chosen]:
            book.on_spot[order[i]] += best[i]
    return int(shop.prices[chosen])


@njit(cache=True)
def buy_all(
    shop: Shop, book: Book, left: IntArray, values: FloatArray, noise: float, state: IntArray,
    new: Bins, most: float,
) -> bool:  # fmt: skip
    """Buy for all items `left` (zones, kinds), which become none; at most `most` in price.

    `new.totals` becomes (bins, cost). Returns False where that fails.
    """
    order = _by_size(shop, left, noise, state)
    zones = len(left)
    start, count, cost = _below(state, zones), 0, 0
    for i in range(zones):
        zone = (start + i) % zones
        while left[zone].sum() > 0:
            if cost > most or count == len(new.types):
                return False
            price = _buy(zone, shop, book, left, order, values, 0.2 * noise, state, new, count)
            if price < 0:
                return False
            cost += price
            count += 1
    new.totals[0], new.totals[1] = count, cost
    return cost <= most


@njit(cache=True)
def _put_back(bins: Bins, out: int, new: Bins) -> None:
    """Replace the last `out` bins by the new ones."""
    count = bins.totals[0] - out
    for i in range(new.totals[0]):
        bins.types[count] = new.types[i]
        bins.zones[count] = new.zones[i]
        bins.contents[count] = new.contents[i]
        count += 1
    bins.totals[0] = count


@njit(cache=True)
def _copy(source: Bins, target: Bins) -> None:
    count = source.totals[0]
    target.types[:count] = source.types[:count]
    target.zones[:count] = source.zones[:count]
    target.contents[:count] = source.contents[:count]
    target.totals[:] = source.totals


@njit(cache=True)
def improve(
    shop: Shop, bins: Bins, book: Book, best: Bins, new: Bins, values: FloatArray,
    rounds: int, hot: float, cold: float, most: int, state: IntArray,
) -> int:  # fmt: skip
    """Simulated annealing from `bins`; the cheapest fleet met goes to `best`. Returns steps.

    Args:
        hot, cold: first and last temperature, in the unit of prices.
        most: bins that are taken out at once.
    """
    zones, kinds = book.by_zone.shape[1], book.by_zone.shape[0]
    left = np.zeros((zones, kinds), np.int64)
    by_zone, on_spot, bought = book.by_zone.copy(), book.on_spot.copy(), book.bought.copy()
    steps = 0
    for turn in range(rounds):
        heat = hot * (cold / hot) ** (turn / rounds)
        left[:] = 0
        by_zone[:], on_spot[:], bought[:] = book.by_zone, book.on_spot, book.bought
        out, cost, everywhere = _take_out(bins, book, shop, left, most, state)
        if everywhere and zones > 1:
            _move(book, shop, left, state)
        limit = cost - heat * np.log(1.0 - chance(state))
        limit = min(limit, cost + DEAREST * heat)
        noise = 0.6 * chance(state) + 1e-9
        fine = buy_all(shop, book, left, values, noise, state, new, limit)
        steps += (out + 1) * min(len(shop.order), 2 * FIRST_TYPES) * 30
        if fine and bins.totals[0] - out + new.totals[0] <= len(bins.types):
            _put_back(bins, out, new)
            bins.totals[1] += new.totals[1] - cost
            if bins.totals[1] < best.totals[1]:
                _copy(bins, best)
        else:
            book.by_zone[:], book.on_spot[:], book.bought[:] = by_zone, on_spot, bought
    return steps
