"""Who works here: CSMs in teams, support agents, account managers, executives; and who owns which account when."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.sample.customers import Customers
from orchestration.sample.world import NONE, World, choose, ids, text

ROLES = ("csm", "support_agent", "account_manager", "exec")
TEAMS = ("SMB Pool", "Mid-Market", "Enterprise", "Support", "Account Management")
FIRST_NAMES = ("Ada", "Ben", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Katja", "Liam",
               "Mei", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sven", "Tara", "Umar", "Vera", "Wen",
               "Yara")  # fmt: skip
LAST_NAMES = ("Abbott", "Berger", "Costa", "Diaz", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Kaya",
              "Lopez", "Moreau", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Schmidt", "Tan", "Ueda", "Vogel",
              "Weber", "Young", "Zhang")  # fmt: skip
ACCOUNTS_PER_CSM = (90, 40, 18)


@dataclass(frozen=True)
class Staff:
    """Staff in one list: CSMs first, then agents, account managers, executives. `owner` has shape [accounts, weeks]."""

    user_id: pa.Array
    role: np.ndarray
    team: np.ndarray
    active_from: np.ndarray
    active_to: np.ndarray
    skill: np.ndarray
    owner: np.ndarray
    changes: tuple[np.ndarray, np.ndarray, np.ndarray]

    def of_role(self, role: str) -> np.ndarray:
        return np.flatnonzero(self.role == ROLES.index(role))

    def owner_on(self, account: np.ndarray, day: np.ndarray) -> np.ndarray:
        """The owning CSM (index, -1 for nobody) of each account on each day; days are clipped to the world."""
        return self.owner[account, np.clip(day // 7, 0, self.owner.shape[1] - 1)].astype(np.int64)


def make_staff(world: World, customers: Customers) -> Staff:
    """Hire a CSM for so many accounts of a segment; some leave and hand their book over, some accounts change hands."""
    rng = world.stream("staff")
    per_segment = np.bincount(customers.segment, minlength=3)
    csms = [max(2, round(int(size) / load)) for size, load in zip(per_segment, ACCOUNTS_PER_CSM, strict=True)]
    agents = max(4, world.accounts // 70)
    managers = max(2, world.accounts // 250)
    counts = [*csms, agents, managers, 3]
    role = np.repeat([0, 0, 0, 1, 2, 3], counts)
    team = np.repeat([0, 1, 2, 3, 4, -1], counts)
    active_from = np.where(role == 3, -900, rng.integers(-700, -60, len(role)))
    active_to = np.full(len(role), NONE)
    first_of_team = np.cumsum([0, *csms[:-1]])
    leavers = np.flatnonzero((role == 0) & (rng.random(len(role)) < 0.15))
    leavers = leavers[~np.isin(leavers, first_of_team)]
    active_to[leavers] = rng.integers(world.days // 4, max(world.days - 20, world.days // 4 + 1), len(leavers)) // 7 * 7
    owner = _owners(world, customers, rng, team[role == 0], active_to)
    return Staff(
        user_id=ids("S", np.arange(1, len(role) + 1), 4),
        role=role,
        team=team,
        active_from=active_from,
        active_to=active_to,
        skill=rng.normal(0, 0.3, len(role)),
        owner=owner,
        changes=_changes(owner),
    )


def _owners(
    world: World, customers: Customers, rng: np.random.Generator, team: np.ndarray, active_to: np.ndarray
) -> np.ndarray:
    """Owner by week: a first CSM of the segment's team, hand-overs when one leaves, rare swaps and gaps."""
    n, weeks = world.accounts, world.weeks
    members = [np.flatnonzero(team == segment) for segment in range(3)]
    size = np.array([len(member) for member in members])[customers.segment]
    offset = np.array([member[0] for member in members])[customers.segment]

    def somebody() -> np.ndarray:
        return offset + (rng.random(n) * size).astype(np.int64)

    owner = np.empty((n, weeks), dtype=np.int16)
    current = somebody()
    gap_until = np.full(n, -1)
    for week in range(weeks):
        day = week * 7
        gone = (active_to[current] != NONE) & (active_to[current] <= day)
        swap = (rng.random(n) < 0.0015) | gone
        for _ in range(20):
            current = np.where(swap, somebody(), current)
            swap = (active_to[current] != NONE) & (active_to[current] <= day)
            if not swap.any():
                break
        current = np.where(swap, offset, current)
        gap_until = np.where(gone & (rng.random(n) < 0.15), week + rng.integers(1, 6, n), gap_until)
        assigned = (day + 6 >= customers.start_day) & (week >= gap_until)
        owner[:, week] = np.where(assigned, current, -1)
    return owner


def _changes(owner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(account, owner, first week) of every stretch of one owner, gaps too, in order of account and week."""
    changed = np.ones(owner.shape, dtype=bool)
    changed[:, 1:] = owner[:, 1:] != owner[:, :-1]
    account, week = np.nonzero(changed)
    return account, owner[account, week].astype(np.int64), week


def user_columns(world: World, staff: Staff) -> dict:
    """crm_users."""
    count = len(staff.role)
    number = np.arange(count)
    names = text(FIRST_NAMES, number % len(FIRST_NAMES)), text(LAST_NAMES, number * 7 % len(LAST_NAMES))
    chief = staff.of_role("exec")
    boss = np.where(staff.role == ROLES.index("exec"), -1, chief[np.clip(staff.role, 0, len(chief) - 1)])
    return {
        "user_id": staff.user_id,
        "full_name": pc.binary_join_element_wise(*names, " "),
        "email": pc.binary_join_element_wise(pc.utf8_lower(staff.user_id), "@vendor.example", ""),
        "role": text(ROLES, staff.role),
        "team": text(TEAMS, staff.team),
        "manager_user_id": text(staff.user_id, boss),
        "active_from": world.date(staff.active_from),
        "active_to": world.date(staff.active_to),
    }


def owner_columns(world: World, customers: Customers, staff: Staff) -> dict:
    """crm_account_owners: the CSM ranges, and a few account managers whom the warehouse must leave out."""
    rng = world.stream("owners")
    account, owner, week = staff.changes
    following = np.append(account[1:] == account[:-1], False)
    ends = np.where(following, np.append(week[1:], 0) * 7, NONE)
    begins = np.maximum(week * 7, customers.start_day[account])
    held = (owner >= 0) & ((ends == NONE) | (ends > begins))
    sellers = np.flatnonzero(rng.random(world.accounts) < 0.1)
    seller = rng.choice(staff.of_role("account_manager"), len(sellers))
    role = np.repeat([0, 1], [held.sum(), len(sellers)])
    return {
        "account_id": text(customers.account_id, np.append(account[held], sellers)),
        "user_id": text(staff.user_id, np.append(owner[held], seller)),
        "role": text(("csm", "account_manager"), role),
        "valid_from": world.instant(np.append(begins[held], customers.start_day[sellers])),
        "valid_to": world.instant(np.append(ends[held], np.full(len(sellers), NONE))),
    }


def pick_agents(world: World, staff: Staff, rng: np.random.Generator, count: int) -> np.ndarray:
    """Support agents (indices), some busier than others."""
    agents = staff.of_role("support_agent")
    return agents[choose(rng, 1 + rng.random(len(agents)), count)]
