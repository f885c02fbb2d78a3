"""How subscriptions live: trials, prices, seats, plans, add-ons, pauses, renewals, leaving and coming back.

One pass over the weeks; in each, every account may change at most once. What changes is written down as versions of
items, so that history is complete and versions of one item never overlap.
"""

from dataclasses import dataclass, field

import numpy as np

from orchestration.sample.customers import Customers
from orchestration.sample.traits import Traits
from orchestration.sample.world import NONE, World, choose, sigmoid, spread

PLANS = ("basic", "pro", "enterprise", "analytics_addon", "free", "setup_fee", "api_calls")
FREE, ADDON, SETUP, METERED = 4, 3, 5, 6
SEAT_PRICE = np.array((24.0, 52.0, 95.0, 9.0, 0.0))
CURRENCY_PRICE = np.array((1.0, 0.93, 0.81))
INTERVALS = ("month", "year", "week", "month", "year", "day", None)
INTERVAL_COUNTS = (1, 1, 1, 3, 2, 30, None)
INTERVAL_MONTHS = np.array((1.0, 12.0, 12 / 52, 3.0, 24.0, 360 / 365, 1.0))
INTERVAL_REBATE = np.array((1.0, 0.86, 1.06, 0.96, 0.8, 1.0, 1.0))
ONCE = 6
REASONS = (
    "missing_features", "too_expensive", "too_complex", "low_quality", "customer_service", "switched_service",
    "unused", "out_of_business", "payment_failed", "trial_not_converted", "other", "project ended",
)  # fmt: skip
PAIN_REASON = np.array((3, 2, 1, 4, 2, 0, 5, 3))
OUT_OF_BUSINESS, PAYMENT_FAILED, TRIAL_OVER, UNUSED = 7, 8, 9, 6
VOLUNTARY, INVOLUNTARY = 0, 1
WEEKS_TO_LEAVE = 20


@dataclass
class Ledger:
    """Growing columns: rows are appended in blocks, and a column may be changed later by row number."""

    names: tuple[str, ...]
    rows: int = 0
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = {name: np.empty(1024, dtype=np.float64) for name in self.names}

    def add(self, count: int, **values: np.ndarray | float) -> np.ndarray:
        """Append `count` rows; columns not named get NONE. Gives the row numbers."""
        last = self.rows + count
        for name, column in self.columns.items():
            if last > len(column):
                column = np.concatenate([column, np.empty(max(len(column), count))])
                self.columns[name] = column
            column[self.rows : last] = values.get(name, NONE)
        rows = np.arange(self.rows, last)
        self.rows = last
        return rows

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name][: self.rows]

    def whole(self, name: str) -> np.ndarray:
        """The column as integers."""
        return self[name].astype(np.int64)

    def at(self, name: str, rows: np.ndarray) -> np.ndarray:
        """The column's integers in these rows; NONE where the row is below zero."""
        return np.where(rows < 0, NONE, self.columns[name][np.maximum(rows, 0)]).astype(np.int64)


@dataclass
class Billing:
    """What happened. Days are whole; `planned` of a subscription is the end decided, perhaps after the last day.

    `weekly_seats`, `weekly_plan`, `weekly_addon` have shape [accounts, weeks]: seats paid or on trial at the week's end
    (0 without a subscription), the main plan (index into PLANS), whether the add-on is held. `leaving`, same shape: 0
    far from an end, up to 1 in the week of leaving.
    `moves`: account, day, kind (0 first sale, 1 expansion), change of yearly value.
    """

    subs: Ledger
    items: Ledger
    versions: Ledger
    pauses: Ledger
    terms: Ledger
    moves: Ledger
    weekly_seats: np.ndarray
    weekly_plan: np.ndarray
    weekly_addon: np.ndarray
    leaving: np.ndarray


class Simulation:
    """The state of all accounts between two weeks; arrays of shape [accounts]."""

    def __init__(self, world: World, customers: Customers, traits: Traits) -> None:
        self.world, self.customers, self.traits = world, customers, traits
        self.rng = rng = world.stream("billing")
        n = world.accounts
        self.subs = Ledger(("account", "start", "trial_end", "asked", "end", "planned", "reason", "kind", "renews",
                            "interval", "silent", "term_months"))  # fmt: skip
        self.items = Ledger(("sub", "kind", "end"))
        self.versions = Ledger(("item", "day", "plan", "quantity", "price", "discount", "interval"))
        self.pauses = Ledger(("sub", "start", "until"))
        self.terms = Ledger(("sub", "start", "end", "auto"))
        self.moves = Ledger(("account", "day", "kind", "value"))
        self.sub = np.full(n, -1)
        self.item = np.full(n, -1)
        self.addon_item = np.full(n, -1)
        self.addon_sub = np.full(n, -1)
        self.term_end = np.full(n, NONE)
        self.paused_until = np.full(n, NONE)
        self.discount = np.zeros(n)
        self.discount_until = np.full(n, NONE)
        self.back_day = np.full(n, NONE)
        self.back_renews = np.full(n, -1)
        self.last_change = np.full(n, NONE)
        self.price_level = np.ones(n)
        self.seats = customers.seats.copy()
        self.today = self.renewals = 0
        self.plan = _by_segment(rng, customers.segment, ((64, 30, 2, 0, 4), (22, 60, 18, 0, 0), (2, 33, 65, 0, 0)))
        self.interval = _by_segment(
            rng, customers.segment, ((62, 20, 4, 9, 1, 2), (28, 55, 1, 9, 6, 1), (5, 70, 0.5, 8, 16, 0.5))
        )
        months = np.array((0, 12, 0, 12, 24, 0))[self.interval]
        by_month = (self.interval == 0) & (customers.segment > 0) & (rng.random(n) < 0.35)
        unbound = (self.interval == 3) & (rng.random(n) < 0.4)
        self.term_months = np.where(by_month, 12, np.where(unbound | (self.plan == FREE), 0, months))
        self.interval = np.where(self.plan == FREE, 0, self.interval)
        _seed_rare(self, n)

    def price(self, accounts: np.ndarray, plan: np.ndarray) -> np.ndarray:
        """Unit price per interval in the account's currency, to the cent."""
        interval = self.interval[accounts]
        monthly = SEAT_PRICE[plan] * CURRENCY_PRICE[self.customers.currency[accounts]] * self.price_level[accounts]
        return np.round(monthly * INTERVAL_MONTHS[interval] * INTERVAL_REBATE[interval], 2)

    def list_level(self, day: np.ndarray) -> np.ndarray:
        first, second = self.traits.price_days
        return 1.0 + 0.06 * (day >= first) + 0.05 * (day >= second)

    def open(self, accounts: np.ndarray, day: np.ndarray, trial_days: np.ndarray, renews: np.ndarray) -> None:
        """Start a subscription with its main item, the first term, a set-up fee and metered usage for some."""
        rng, world = self.rng, self.world
        visible = day < world.days
        accounts, day, trial_days, renews = (part[visible] for part in (accounts, day, trial_days, renews))
        count = len(accounts)
        if not count:
            return
        again = renews >= 0
        self.price_level[accounts] = np.where(again, self.price_level[accounts], self.list_level(day))
        subs = self.subs.add(
            count, account=accounts, start=day, renews=np.where(again, renews, -1), reason=-1, kind=-1,
            trial_end=np.where(trial_days > 0, day + trial_days, NONE), interval=self.interval[accounts],
            silent=0, term_months=self.term_months[accounts],
        )  # fmt: skip
        self.sub[accounts] = subs
        self.term_end[accounts] = NONE
        self.paused_until[accounts] = NONE
        self.addon_item[accounts] = np.where(again, self.addon_item[accounts], -1)
        fresh = ~again
        gets = fresh & (rng.random(count) < 0.25) & (self.plan[accounts] != FREE)
        lasting = gets & (rng.random(count) < 0.35)
        self.discount[accounts] = np.where(fresh, np.where(gets, rng.choice((10.0, 15.0, 20.0, 12.5), count), 0.0),
                                           self.discount[accounts])  # fmt: skip
        base = day + np.maximum(trial_days, 0)
        self.discount_until[accounts] = np.where(gets & ~lasting, world.add_months(base, rng.choice((3, 6), count)),
                                                 np.where(fresh, NONE, self.discount_until[accounts]))  # fmt: skip
        self.item[accounts] = self.items.add(count, sub=subs, kind=0)
        self.write_main(accounts, day)
        self.start_term(accounts, world.add_months(base, 0))
        keeps = again & (self.addon_item[accounts] >= 0)
        if keeps.any():
            self.addon_item[accounts[keeps]] = self.items.add(keeps.sum(), sub=subs[keeps], kind=1)
            self.addon_sub[accounts[keeps]] = subs[keeps]
            self.write_addon(accounts[keeps], day[keeps])
        setup = fresh & (self.term_months[accounts] > 0) & (rng.random(count) < 0.6)
        fee = np.round(self.seats[accounts] * 40 * CURRENCY_PRICE[self.customers.currency[accounts]], 0)
        for kind, chosen, plan, quantity, price in (
            (2, setup, SETUP, 1.0, fee),
            (3, fresh & (self.plan[accounts] == 2) & (rng.random(count) < 0.25), METERED, 1000.0, np.full(count, 0.02)),
        ):
            rows = self.items.add(chosen.sum(), sub=subs[chosen], kind=kind)
            self.versions.add(len(rows), item=rows, day=day[chosen], plan=plan, quantity=quantity,
                              price=price[chosen], discount=0, interval=ONCE)  # fmt: skip
        self.moves.add(fresh.sum(), account=accounts[fresh], day=day[fresh], kind=0,
                       value=self.yearly(accounts[fresh]))  # fmt: skip

    def yearly(self, accounts: np.ndarray) -> np.ndarray:
        """Yearly value of the main item."""
        price = self.price(accounts, self.plan[accounts])
        months = INTERVAL_MONTHS[self.interval[accounts]]
        return price * self.seats[accounts] * (1 - self.discount[accounts] / 100) / months * 12

    def write_main(self, accounts: np.ndarray, day: np.ndarray) -> None:
        self.versions.add(
            len(accounts), item=self.item[accounts], day=day, plan=self.plan[accounts], quantity=self.seats[accounts],
            price=self.price(accounts, self.plan[accounts]), discount=self.discount[accounts],
            interval=self.interval[accounts],
        )  # fmt: skip
        self.last_change[accounts] = day

    def write_addon(self, accounts: np.ndarray, day: np.ndarray) -> None:
        addon = np.full(len(accounts), ADDON)
        self.versions.add(
            len(accounts), item=self.addon_item[accounts], day=day, plan=ADDON, quantity=self.seats[accounts],
            price=self.price(accounts, addon), discount=0, interval=self.interval[accounts],
        )  # fmt: skip

    def start_term(self, accounts: np.ndarray, day: np.ndarray) -> None:
        """A signed term from `day` for those who sign terms."""
        bound = (self.term_months[accounts] > 0) & (day < self.world.days) & ~self.customers.never_pays[accounts]
        accounts, day = accounts[bound], day[bound]
        end = self.world.add_months(day, self.term_months[accounts])
        auto = self.rng.random(len(accounts)) < 0.7
        self.terms.add(len(accounts), sub=self.sub[accounts], start=day, end=end, auto=auto)
        self.term_end[accounts] = end

    def plan_end(self, accounts: np.ndarray, asked: np.ndarray, end: np.ndarray, reason: np.ndarray, kind: int) -> None:
        """Decide that the subscription ends; what the customer asked may be NONE (they just do not renew)."""
        rows = self.sub[accounts]
        for name, values in (("asked", asked), ("planned", end), ("reason", reason), ("kind", kind)):
            self.subs[name][rows] = values

    def reasons(self, accounts: np.ndarray) -> np.ndarray:
        rng, count = self.rng, len(accounts)
        reason = PAIN_REASON[self.customers.pain[accounts]]
        drawn = rng.random(count)
        reason = np.where(drawn < 0.3, rng.choice((0, 1, 5, 6, 10, 11), count), reason)
        return np.where(drawn > 0.9, -1, reason)

    def week(self, week: int) -> None:
        """All that happens in the seven days from `week * 7`."""
        rng, world, n = self.rng, self.world, self.world.accounts
        self.today = today = week * 7
        day = today + rng.integers(0, 7, n)
        state = self.traits.satisfaction[:, max(week - 4, 0)].astype(np.float64)
        now = self.traits.satisfaction[:, week].astype(np.float64)
        fit = self.customers.fit

        def due(days: np.ndarray) -> np.ndarray:
            return (days >= today) & (days < today + 7) & (days < world.days)

        self.end_due(due)
        renewing = (self.sub >= 0) & due(self.term_end) & (self.subs.at("planned", self.sub) == NONE)
        self.renew(renewing, now)
        starting = np.flatnonzero(due(self.customers.start_day))
        trial = (rng.random(len(starting)) < 0.3) & (self.plan[starting] != FREE) & (self.term_months[starting] == 0)
        trial |= starting == n - 1
        self.open(starting, self.customers.start_day[starting], np.where(trial, 14, 0), np.full(len(starting), -1))
        back = np.flatnonzero(due(self.back_day))
        self.open(back, self.back_day[back], np.zeros(len(back), dtype=np.int64), self.back_renews[back])
        self.back_day[back] = NONE

        settled = (self.sub >= 0) & (self.subs.at("planned", self.sub) == NONE) & ~self.customers.never_pays
        trial_end = self.subs.at("trial_end", self.sub)
        fails = settled & due(trial_end) & (rng.random(n) > sigmoid(1.6 + 0.7 * fit))
        self.finish_trials(np.flatnonzero(fails))
        settled &= ~fails & (trial_end <= today - 7) & (self.subs.at("start", self.sub) <= today - 21)
        paused = settled & (self.paused_until != NONE) & (self.paused_until > today - 7)
        settled &= ~paused & ~self.customers.is_internal
        self.leave_free_plan(settled, day, now)
        settled &= self.plan != FREE
        leaving = self.leave(settled, day, state)
        settled &= ~leaving & (day < world.days)
        if settled.any():
            self.pause(settled, day, state)
            self.change(settled, day, now, renewing)

    def end_due(self, due) -> None:
        """Subscriptions whose planned end has come are over; some customers will be back."""
        rng, subs = self.rng, self.subs
        planned = subs.at("planned", self.sub)
        over = np.flatnonzero((self.sub >= 0) & due(planned))
        subs["end"][self.sub[over]] = planned[over]
        apart = over[(self.addon_item[over] >= 0) & (self.addon_sub[over] != self.sub[over])]
        extra = self.addon_sub[apart]
        subs["end"][extra] = planned[apart]
        subs["reason"][extra] = subs["reason"][self.sub[apart]]
        subs["kind"][extra] = subs["kind"][self.sub[apart]]
        self.sub[over] = -1
        self.addon_item[over] = -1
        returns = over[rng.random(len(over)) < 0.14]
        self.back_day[returns] = planned[returns] + rng.integers(40, 240, len(returns))
        self.back_renews[returns] = -1
        self.seats[returns] = np.maximum(2, np.rint(self.seats[returns] * 0.7))

    def renew(self, renewing: np.ndarray, now: np.ndarray) -> None:
        """A term ends and the customer stays: mostly the same subscription, sometimes a successor, sometimes late."""
        rng = self.rng
        chosen = np.flatnonzero(renewing)
        day = self.term_end[chosen]
        self.price_level[chosen] = self.list_level(day)
        growth = rng.random(len(chosen))
        step = np.where(
            growth < 0.16 + 0.1 * now[chosen], 1.15, np.where(growth > 0.93 + 0.04 * now[chosen], 0.85, 1.0)
        )
        before = self.yearly(chosen)
        self.seats[chosen] = np.maximum(2, np.rint(self.seats[chosen] * step))
        gain = self.yearly(chosen) - before
        grown = gain > 0
        self.moves.add(grown.sum(), account=chosen[grown], day=day[grown], kind=1, value=gain[grown])
        number = self.renewals + np.arange(len(chosen))
        self.renewals += len(chosen)
        successor = number % 8 == 3
        same = chosen[~successor]
        self.start_term(same, day[~successor])
        self.write_main(same, day[~successor])
        split = chosen[successor]
        late = np.where(number[successor] % 24 == 11, rng.integers(1, 28, len(split)), 0)
        self.subs["end"][self.sub[split]] = day[successor]
        apart = (self.addon_item[split] >= 0) & (self.addon_sub[split] != self.sub[split])
        self.subs["end"][self.addon_sub[split[apart]]] = day[successor][apart]
        self.back_renews[split] = self.sub[split]
        self.back_day[split] = day[successor] + late
        self.sub[split] = -1

    def leave_free_plan(self, settled: np.ndarray, day: np.ndarray, now: np.ndarray) -> None:
        """Free accounts that like it start to pay."""
        likes = self.rng.random(len(day)) < 0.008 * np.exp(0.6 * now)
        who = np.flatnonzero(settled & (self.plan == FREE) & likes & (day > self.last_change) & (day < self.world.days))
        self.plan[who] = 0
        settled[who] = False
        self.write_main(who, day[who])
        self.moves.add(len(who), account=who, day=day[who], kind=0, value=self.yearly(who))

    def finish_trials(self, accounts: np.ndarray) -> None:
        rows = self.sub[accounts]
        for name in ("end", "planned"):
            self.subs[name][rows] = self.subs["trial_end"][rows]
        self.subs["reason"][rows] = TRIAL_OVER
        self.subs["kind"][rows] = VOLUNTARY
        self.sub[accounts] = -1

    def leave(self, settled: np.ndarray, day: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Who decides to leave this week; terms are decided nine weeks before they end."""
        rng, n, world = self.rng, self.world.accounts, self.world
        bound = self.term_end != NONE
        today = self.today
        month_to_month = settled & ~bound & (rng.random(n) < np.minimum(0.0018 * np.exp(-2.1 * state), 0.12))
        asked_chance = sigmoid(-(2.7 + 2.6 * state))
        deciding = settled & bound & (self.term_end - 63 >= today) & (self.term_end - 63 < today + 7)
        at_term = deciding & (rng.random(n) < asked_chance)
        early = settled & bound & ~deciding & (rng.random(n) < np.minimum(0.00012 * np.exp(-1.4 * state), 0.01))
        unpaid = settled & ~bound & ~month_to_month & (rng.random(n) < 0.00035 * np.exp(-0.9 * state))
        if self.today == world.weeks // 2 * 7:
            unpaid[np.flatnonzero(settled & ~bound & ~month_to_month)[:1]] = True
        closed = settled & ~month_to_month & ~at_term & ~early & ~unpaid & (rng.random(n) < 0.00012)

        who = np.flatnonzero(month_to_month)
        self.plan_end(
            who, world.known(day[who]), day[who] + rng.integers(7, 36, len(who)), self.reasons(who), VOLUNTARY
        )
        who = np.flatnonzero(at_term)
        asked = np.where(rng.random(len(who)) < 0.75, day[who] + rng.integers(0, 50, len(who)), NONE)
        self.plan_end(who, world.known(asked), self.term_end[who], self.reasons(who), VOLUNTARY)
        who = np.flatnonzero(early)
        self.plan_end(
            who, world.known(day[who]), day[who] + rng.integers(14, 45, len(who)), self.reasons(who), VOLUNTARY
        )
        who = np.flatnonzero(unpaid)
        end = day[who] + rng.integers(28, 56, len(who))
        self.plan_end(who, np.full(len(who), NONE), end, np.full(len(who), PAYMENT_FAILED), INVOLUNTARY)
        who = np.flatnonzero(closed)
        end = day[who] + rng.integers(10, 30, len(who))
        self.plan_end(who, np.full(len(who), NONE), end, np.full(len(who), OUT_OF_BUSINESS), INVOLUNTARY)
        self.subs["silent"][self.sub[who]] = 1
        return month_to_month | at_term | early | unpaid | closed

    def pause(self, settled: np.ndarray, day: np.ndarray, state: np.ndarray) -> None:
        """Month-to-month customers may pause; one in five of them never resumes."""
        rng, n = self.rng, self.world.accounts
        chance = np.where(self.term_end == NONE, 0.0016 * np.exp(-0.5 * state), 0)
        may = settled & (rng.random(n) < chance)
        if self.today == (self.world.weeks - 3) * 7:
            may[np.flatnonzero(settled & (self.term_end == NONE))[:1]] = True
        who = np.flatnonzero(may)
        until = day[who] + rng.integers(30, 91, len(who))
        self.pauses.add(len(who), sub=self.sub[who], start=day[who], until=until)
        self.paused_until[who] = until
        settled[who] = False
        gone = who[rng.random(len(who)) < 0.2]
        self.plan_end(gone, self.world.known(self.paused_until[gone] - 5), self.paused_until[gone],
                      np.full(len(gone), UNUSED), VOLUNTARY)  # fmt: skip

    def change(self, settled: np.ndarray, day: np.ndarray, now: np.ndarray, renewed: np.ndarray) -> None:
        """Seats, plans, add-ons, discounts that run out and price increases."""
        rng, n, fit = self.rng, self.world.accounts, self.customers.fit
        today = self.today
        free = settled & ~renewed & (day - self.last_change > 40)
        drawn = rng.random((5, n))
        more = free & (drawn[0] < 0.0085 * np.exp(0.55 * now + 0.3 * fit))
        fewer = free & ~more & (drawn[0] > 1 - 0.006 * np.exp(-0.6 * now)) & (self.seats > 2)
        up = free & ~more & ~fewer & (self.plan < 2) & (drawn[1] < 0.0028 * np.exp(0.6 * now + 0.4 * fit))
        down = free & ~more & ~fewer & ~up & (self.plan > 0) & (drawn[1] > 1 - 0.0014 * np.exp(-0.7 * now))
        runs_out = settled & ~renewed & (self.discount_until >= today) & (self.discount_until < today + 7)
        offer = free & ~more & ~up & (self.discount == 0) & (now < -0.8) & (drawn[2] < 0.006)
        notice = [first + 60 for first in self.traits.price_days]
        dearer = np.zeros(n, dtype=bool)
        if any(today <= first < today + 7 for first in notice):
            dearer = settled & ~renewed & (self.term_end == NONE) & (day > self.last_change)
        before = np.zeros(n)
        touched = np.flatnonzero(more | fewer | up | down | runs_out | offer | dearer)
        before[touched] = self.yearly(touched)
        grow = np.maximum(self.seats + 1, np.rint(self.seats * rng.uniform(1.08, 1.35, n)))
        shrink = np.maximum(2, np.minimum(self.seats - 1, np.rint(self.seats * rng.uniform(0.65, 0.92, n))))
        self.seats = np.where(more, grow, np.where(fewer, shrink, self.seats))
        self.plan = self.plan + up - down
        self.discount = np.where(runs_out, 0.0, np.where(offer, 20.0, self.discount))
        when = np.where(runs_out, self.discount_until, day)
        self.discount_until = np.where(runs_out, NONE, np.where(offer, day + 91, self.discount_until))
        self.price_level = np.where(dearer, self.list_level(when), self.price_level)
        touched = touched[(when[touched] > self.last_change[touched]) & (when[touched] < self.world.days)]
        self.write_main(touched, when[touched])
        gain = self.yearly(touched) - before[touched]
        grown = (gain > 0) & ~runs_out[touched] & ~dearer[touched]
        self.moves.add(grown.sum(), account=touched[grown], day=when[touched[grown]], kind=1, value=gain[grown])
        self.change_addons(free, day, now, drawn[3:])

    def change_addons(self, free: np.ndarray, day: np.ndarray, now: np.ndarray, drawn: np.ndarray) -> None:
        rng, none = self.rng, self.addon_item < 0
        add = np.flatnonzero(free & none & (drawn[0] < 0.0045 * np.exp(0.6 * now + 0.5 * self.customers.fit)))
        own = rng.random(len(add)) < 0.25
        rows = self.sub[add].copy()
        rows[own] = self.subs.add(
            own.sum(), account=add[own], start=day[add[own]], renews=-1, reason=-1, kind=-1,
            interval=self.interval[add[own]], silent=0, term_months=0,
        )  # fmt: skip
        self.addon_sub[add] = rows
        self.addon_item[add] = self.items.add(len(add), sub=rows, kind=1)
        self.write_addon(add, day[add])
        value = SEAT_PRICE[ADDON] * self.seats[add] * 12
        self.moves.add(len(add), account=add, day=day[add], kind=1, value=value)
        old = self.versions.at("day", self._addon_version()) < day - 60
        drop = np.flatnonzero(free & ~none & old & (drawn[1] < 0.005 * np.exp(-0.6 * now)))
        apart = self.addon_sub[drop] != self.sub[drop]
        extra = self.addon_sub[drop[apart]]
        self.subs["end"][extra] = day[drop[apart]]
        self.subs["asked"][extra] = day[drop[apart]]
        self.subs["reason"][extra] = UNUSED
        self.subs["kind"][extra] = VOLUNTARY
        self.items["end"][self.addon_item[drop]] = day[drop]
        self.addon_item[drop] = -1

    def _addon_version(self) -> np.ndarray:
        """Row of each account's add-on item's last version; -1 without one."""
        last = np.full(self.items.rows + 1, -1)
        last[self.versions.whole("item")] = np.arange(self.versions.rows)
        return np.where(self.addon_item >= 0, last[self.addon_item], -1)


def _by_segment(rng: np.random.Generator, segment: np.ndarray, weights: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """Draw for each account by the weights of its segment."""
    drawn = np.stack([choose(rng, row, len(segment)) for row in weights])
    return drawn[segment, np.arange(len(segment))]


def _seed_rare(sim: Simulation, n: int) -> None:
    """Every billing interval occurs, and a running trial, however few the accounts."""
    usual = np.flatnonzero(~sim.customers.never_pays & ~sim.customers.is_internal & (sim.plan != FREE))
    months = (0, 12, 0, 0, 24, 0)
    for interval in range(6):
        account = usual[interval * len(usual) // 7]
        sim.interval[account], sim.term_months[account] = interval, months[interval]
    sim.plan[n - 1], sim.interval[n - 1], sim.term_months[n - 1] = 0, 0, 0


def simulate(world: World, customers: Customers, traits: Traits) -> Billing:
    """Let every subscription live through all weeks."""
    sim = Simulation(world, customers, traits)
    seats = np.zeros((world.accounts, world.weeks), dtype=np.float32)
    plans = np.zeros((world.accounts, world.weeks), dtype=np.int8)
    addons = np.zeros((world.accounts, world.weeks), dtype=bool)
    for week in range(world.weeks):
        sim.week(week)
        seats[:, week] = np.where(sim.sub >= 0, sim.seats, 0)
        plans[:, week] = sim.plan
        addons[:, week] = sim.addon_item >= 0
    return Billing(
        subs=sim.subs, items=sim.items, versions=sim.versions, pauses=sim.pauses, terms=sim.terms, moves=sim.moves,
        weekly_seats=seats, weekly_plan=plans, weekly_addon=addons, leaving=_leaving(world, sim.rng, sim.subs),
    )  # fmt: skip


def _leaving(world: World, rng: np.random.Generator, subs: Ledger) -> np.ndarray:
    """How far on the way out each account is, by week: a decision ripens for months. A few leave without warning."""
    leaving = np.zeros((world.accounts, world.weeks), dtype=np.float32)
    planned = subs.whole("planned")
    ripens = (planned != NONE) & (subs["silent"] == 0) & (subs.whole("reason") != TRIAL_OVER)
    rows = np.flatnonzero(ripens & (rng.random(subs.rows) < 0.87))
    sub, nth = spread(np.full(len(rows), WEEKS_TO_LEAVE))
    week = planned[rows[sub]] // 7 - nth
    kept = (week >= 0) & (week < world.weeks)
    share = ((1 - nth / WEEKS_TO_LEAVE) ** 0.7).astype(np.float32)
    np.maximum.at(leaving, (subs.whole("account")[rows[sub]][kept], week[kept]), share[kept])
    return leaving
