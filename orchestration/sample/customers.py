"""Who the customers are: accounts with their lasting traits, contacts, and ids of other systems."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.sample.world import NONE, SEGMENTS, World, choose, ids, spread, text

INDUSTRIES = ("software", "manufacturing", "retail", "healthcare", "financial_services", "education", "logistics")
COUNTRIES = ("US", "DE", "GB", "FR", "ES", "CA", "AU", "NL")
COUNTRY_WEIGHTS = (40, 16, 13, 8, 7, 7, 4, 5)
COUNTRY_CURRENCY = (0, 1, 2, 1, 1, 0, 0, 1)
COUNTRY_LANGUAGE = (0, 1, 0, 0, 2, 0, 0, 0)
COUNTRY_UTC_HOURS = (-6, 1, 0, 1, 1, -6, 10, 1)
FIRST_WORDS = (
    "Alder", "Amber", "Atlas", "Beacon", "Birch", "Blue", "Bright", "Cedar", "Clear", "Copper", "Coral", "Delta",
    "Ember", "Falcon", "Fern", "Golden", "Granite", "Harbor", "Hazel", "Indigo", "Iron", "Juniper", "Keystone",
    "Lark", "Linden", "Maple", "Meridian", "North", "Oak", "Onyx", "Orchard", "Pine", "Prairie", "Quartz", "River",
    "Rowan", "Sable", "Silver", "Solar", "Summit", "Terra", "Vale", "Willow", "Zephyr",
)  # fmt: skip
SECOND_WORDS = (
    "Analytics", "Bank", "Clinics", "College", "Components", "Dynamics", "Foods", "Freight", "Health", "Holdings",
    "Industries", "Insurance", "Labs", "Logistics", "Media", "Motors", "Outfitters", "Partners", "Pharma", "Retail",
    "Robotics", "Schools", "Shipping", "Software", "Stores", "Studios", "Supply", "Systems", "Textiles", "Works",
)  # fmt: skip
LEGAL_FORMS = (("Inc", "LLC"), ("GmbH", "AG"), ("Ltd", "plc"), ("SAS", "SA"), ("SL", "SA"), ("Inc", "Ltd"),
               ("Pty Ltd", "Ltd"), ("BV", "NV"))  # fmt: skip
CONTACT_ROLES = ("champion", "admin", "exec_sponsor", "billing", "user")
TITLES = ("Head of Operations", "IT Administrator", "Chief Operating Officer", "Finance Manager", "Specialist")
LINK_SYSTEMS = ("stripe", "zendesk", "segment")


@dataclass(frozen=True)
class Customers:
    """One entry an account (arrays of shape [accounts]); contacts are numbered account by account."""

    account_id: pa.Array
    segment: np.ndarray
    industry: np.ndarray
    country: np.ndarray
    currency: np.ndarray
    language: np.ndarray
    utc_hours: np.ndarray
    start_day: np.ndarray
    created_day: np.ndarray
    second: np.ndarray
    is_internal: np.ndarray
    never_pays: np.ndarray
    merged_into: np.ndarray
    merged_day: np.ndarray
    parent: np.ndarray
    seats: np.ndarray
    fit: np.ndarray
    mood: np.ndarray
    pain: np.ndarray
    contacts: np.ndarray
    contact_first: np.ndarray
    contact_account: np.ndarray
    contact_day: np.ndarray
    contact_bias: np.ndarray
    contact_id: pa.Array
    has_segment_link: np.ndarray
    has_zendesk_link: np.ndarray

    @property
    def zendesk_id(self) -> pa.Array:
        """What the support tool calls the account: for some its own organisation id, else our id."""
        return _either(self.has_zendesk_link, _link_id(1, len(self.segment)), self.account_id)

    @property
    def segment_id(self) -> pa.Array:
        """What the product's event stream calls the account."""
        return _either(self.has_segment_link, _link_id(2, len(self.segment)), self.account_id)


def make_customers(world: World) -> Customers:
    """Draw every account's lasting traits: who, where, how big, when it came, how well it fits, what pains it."""
    rng, n = world.stream("customers"), world.accounts
    segment = choose(rng, (58, 30, 12), n)
    country = choose(rng, COUNTRY_WEIGHTS, n)
    start_day = _arrivals(world, rng)
    created_day = start_day - rng.integers(1, 60, n)
    is_internal, never_pays, merged_into, merged_day = _special_accounts(world, rng, start_day)
    fit = rng.normal(0, 1, n)
    contacts = np.array((2, 4, 6))[segment] + rng.integers(0, np.array((3, 5, 9))[segment])
    owner, nth = spread(contacts)
    contact_day = created_day[owner] + np.where(nth < 3, 0, rng.integers(0, 300, len(owner)))
    contact_day = np.where(contact_day < world.days, contact_day, created_day[owner])
    return Customers(
        account_id=ids("A", np.arange(1, n + 1), 6),
        segment=segment,
        industry=choose(rng, (22, 17, 16, 14, 13, 9, 9), n),
        country=country,
        currency=np.array(COUNTRY_CURRENCY)[country],
        language=np.array(COUNTRY_LANGUAGE)[country],
        utc_hours=np.array(COUNTRY_UTC_HOURS)[country],
        start_day=start_day,
        created_day=created_day,
        second=rng.integers(8 * 3600, 14 * 3600, n),
        is_internal=is_internal,
        never_pays=never_pays,
        merged_into=merged_into,
        merged_day=merged_day,
        parent=_parents(rng, n, segment),
        seats=np.maximum(2, np.rint(np.array((4.5, 14.0, 48.0))[segment] * np.exp(rng.normal(0, 0.45, n)))),
        fit=fit,
        mood=0.35 + 0.3 * fit + rng.normal(0, 0.75, n),
        pain=choose(rng, (18, 14, 16, 14, 9, 11, 9, 9), n),
        contacts=contacts,
        contact_first=np.cumsum(contacts) - contacts,
        contact_account=owner,
        contact_day=contact_day,
        contact_bias=rng.normal(0, 0.35, len(owner)),
        contact_id=ids("C", np.arange(1, len(owner) + 1)),
        has_segment_link=rng.random(n) < 0.04,
        has_zendesk_link=rng.random(n) < 0.06,
    )


def _arrivals(world: World, rng: np.random.Generator) -> np.ndarray:
    """First days: a fifth came with the launch, the rest in growing numbers, fewer in summer and over Christmas."""
    n, days = world.accounts, np.arange(world.days)
    month = world.date(days).astype("datetime64[M]").astype(np.int64) % 12
    season = np.array((0.9, 1.0, 1.2, 1.05, 1.0, 1.1, 0.8, 0.65, 1.15, 1.2, 1.15, 0.75))[month]
    weekday = (world.date(days).astype(np.int64) + 3) % 7 < 5
    weight = np.exp(0.9 * days / max(world.days, 365)) * season * np.where(weekday, 1, 0.1)
    launch = min(75, world.days)
    start = choose(rng, weight, n)
    early = rng.random(n) < 0.2
    start = np.where(early, choose(rng, weight[:launch], n), start)
    start[:2] = world.days - 6
    return np.sort(start)


def _special_accounts(
    world: World, rng: np.random.Generator, start_day: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Internal accounts, those whose first payment never came, and the losers of merges with their survivors."""
    n = world.accounts
    order = rng.permutation(n)
    old = order[start_day[order] < world.days * 0.7]
    few = max(2, n // 100)
    is_internal, never_pays = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    is_internal[old[:few]] = True
    losers, survivors = old[few : 2 * few], old[2 * few : 3 * few]
    merged_into, merged_day = np.full(n, -1), np.full(n, NONE)
    merged_into[losers] = survivors
    soonest = np.maximum(start_day[losers], start_day[survivors]) + 30
    merged_day[losers] = np.minimum(soonest + rng.integers(0, 200, few), world.days - 1)
    late = order[~np.isin(order, old[: 3 * few]) & (order < n - 2)]
    never_pays[late[: max(3, n // 50)]] = True
    return is_internal, never_pays, merged_into, merged_day


def _parents(rng: np.random.Generator, n: int, segment: np.ndarray) -> np.ndarray:
    """Some accounts belong to an enterprise; only those that have no children themselves, so no cycles."""
    heads = np.flatnonzero(segment == 2)
    parent = np.full(n, -1)
    if len(heads):
        children = np.flatnonzero((rng.random(n) < 0.05) & (segment != 2))
        parent[children] = rng.choice(heads[: max(1, len(heads) // 3)], len(children))
    return parent


def account_columns(world: World, customers: Customers) -> dict:
    """crm_accounts."""
    rng, n = world.stream("accounts"), world.accounts
    words = choose(rng, np.ones(len(FIRST_WORDS)), n), choose(rng, np.ones(len(SECOND_WORDS)), n)
    forms = [form for pair in LEGAL_FORMS for form in pair]
    form = text(forms, customers.country * 2 + rng.integers(0, 2, n))
    name = pc.binary_join_element_wise(text(FIRST_WORDS, words[0]), text(SECOND_WORDS, words[1]), form, " ")
    purpose = text(("Sandbox", "Demo", "Partner"), np.where(customers.is_internal, np.arange(n) % 3, -1))
    unknown = (rng.random(n) < 0.03, rng.random(n) < 0.02, rng.random(n) < 0.01)
    return {
        "account_id": customers.account_id,
        "account_name": pc.coalesce(pc.binary_join_element_wise("Internal", purpose, " "), name),
        "parent_account_id": text(customers.account_id, customers.parent),
        "segment": text(SEGMENTS, np.where(unknown[0], -1, customers.segment)),
        "industry": text(INDUSTRIES, np.where(unknown[1], -1, customers.industry)),
        "country": text(COUNTRIES, np.where(unknown[2], -1, customers.country)),
        "is_internal": customers.is_internal,
        "created_at": world.instant(customers.created_day, customers.second),
        "merged_into_account_id": text(customers.account_id, customers.merged_into),
        "merged_at": world.instant(customers.merged_day, customers.second),
    }


def link_columns(world: World, customers: Customers) -> dict:
    """crm_account_links: every paying account in the billing tool, some in the support tool and the event stream."""
    n = world.accounts
    rows = [np.arange(n), np.flatnonzero(customers.has_zendesk_link), np.flatnonzero(customers.has_segment_link)]
    system = np.repeat(np.arange(3), [len(part) for part in rows])
    source = pa.concat_arrays([_link_id(k, n).take(pa.array(part)) for k, part in enumerate(rows)])
    return {
        "source_system": text(LINK_SYSTEMS, system),
        "source_account_id": source,
        "account_id": text(customers.account_id, np.concatenate(rows)),
    }


def contact_columns(world: World, customers: Customers) -> dict:
    """crm_contacts: champion and administrator first, then sponsor, billing and users."""
    rng, count = world.stream("contacts"), len(customers.contact_account)
    nth = np.arange(count) - customers.contact_first[customers.contact_account]
    role = np.minimum(nth, 4)
    host = pc.utf8_lower(text(customers.account_id, customers.contact_account))
    address = pc.binary_join_element_wise(pc.utf8_lower(customers.contact_id), "@", host, ".example", "")
    hidden = rng.random((2, count)) < 0.04
    return {
        "contact_id": customers.contact_id,
        "account_id": text(customers.account_id, customers.contact_account),
        "email": pc.if_else(pa.array(hidden[0]), None, address),
        "title": text(TITLES, np.where(rng.random(count) < 0.1, -1, role)),
        "contact_role": text(CONTACT_ROLES, np.where(hidden[1] & (nth > 0), -1, role)),
        "created_at": world.instant(customers.contact_day, customers.second[customers.contact_account]),
    }


def pick_contacts(rng: np.random.Generator, customers: Customers, account: np.ndarray, day: np.ndarray) -> np.ndarray:
    """A contact (index) of each account who was there on the day; the first ones answer more often."""
    drawn = (rng.random(len(account)) ** 1.6 * customers.contacts[account]).astype(np.int64)
    contact = customers.contact_first[account] + drawn
    return np.where(customers.contact_day[contact] <= day, contact, customers.contact_first[account])


def _link_id(system: int, n: int) -> pa.Array:
    return ids(("cus_", "org-", "grp_")[system], np.arange(n) * 7919 % 1_000_003 + system, 7)


def _either(which: np.ndarray, yes: pa.Array, no: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(which), yes, no)
