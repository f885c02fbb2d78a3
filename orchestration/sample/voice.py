"""Surveys, answers and other feedback: what customers say they feel, a noisy picture of what they do feel."""

from dataclasses import dataclass

import numpy as np

from orchestration.sample.billing import Billing
from orchestration.sample.customers import Customers, pick_contacts
from orchestration.sample.onboarding import Onboardings
from orchestration.sample.staff import Staff
from orchestration.sample.support import Tickets, ticket_ids
from orchestration.sample.traits import Traits
from orchestration.sample.words import (
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    THEMES,
    Phrases,
    draw_languages,
    draw_themes,
)
from orchestration.sample.world import NONE, World, choose, ids, spread, text

# id, type, name, scale, higher is better, positive threshold; then the score's middle, its gain and its noise
SURVEYS = (
    ("nps_relationship", "nps", "How likely are you to recommend us?", 0, 10, True, 9, 7.8, 1.55, 0.9),
    ("nps_analytics", "nps", "How likely are you to recommend Analytics?", 1, 10, True, 9, 7.8, 1.4, 1.1),
    ("csat_ticket", "csat", "How satisfied are you with the solution?", 1, 5, True, 4, 4.0, 0.65, 0.7),
    ("csat_chat", "csat", "Was this chat good or bad?", 0, 1, True, 1, 0.75, 0.25, 0.35),
    ("ces_interaction", "ces", "We made it easy for you", 1, 7, True, 5, 5.2, 0.7, 0.9),
    ("ces_support", "ces", "How much effort did you have to put in?", 1, 5, False, 2, 2.2, -0.6, 0.7),
    ("onboarding_csm", "onboarding", "How would you rate your onboarding?", 1, 5, True, 4, 4.1, 0.45, 0.6),
    ("product_fit", "custom", "How well does the product fit your work?", 1, 5, True, 4, 3.7, 0.6, 0.7),
)
NPS, NPS_ANALYTICS, CSAT, CSAT_CHAT, CES, CES_SUPPORT, ONBOARDING, FIT = range(8)
INTERACTIONS = ("trial_signup", "upgrade", "renewal", "training_request")
CHANNELS = ("email", "in_app", "web", "sms")
SOURCES = (
    "interview",
    "in_person",
    "feedback_session",
    "social",
    "review_site",
    "in_app_widget",
    "web_form",
    "sales_call",
)


@dataclass(frozen=True)
class Answers:
    """One entry an invitation or an unasked answer; times are fractional days, NaN where there is none."""

    survey: np.ndarray
    account: np.ndarray
    contact: np.ndarray
    sent: np.ndarray
    responded: np.ndarray
    score: np.ndarray
    ticket: np.ndarray
    onboarding: np.ndarray
    interaction: np.ndarray
    about: np.ndarray

    @property
    def detractors(self) -> np.ndarray:
        """Rows of answered NPS surveys with a score of 6 or less."""
        return np.flatnonzero((self.survey <= NPS_ANALYTICS) & np.isfinite(self.responded) & (self.score <= 6))


@dataclass(frozen=True)
class _Invitations:
    survey: int
    account: np.ndarray
    contact: np.ndarray
    sent: np.ndarray
    ticket: np.ndarray | int = -1
    onboarding: np.ndarray | int = -1
    interaction: np.ndarray | int = -1
    about: np.ndarray | int = -1
    answer_rate: float = 0.35
    shift: np.ndarray | float = 0.0


def make_answers(
    world: World,
    customers: Customers,
    staff: Staff,
    traits: Traits,
    billing: Billing,
    tickets: Tickets,
    onboardings: Onboardings,
) -> Answers:
    """Invite after what happened, and ask every quarter whether they would recommend us."""
    rng = world.stream("answers")
    invitations = [
        _relationship(world, rng, customers, billing),
        _analytics(world, rng, customers, billing),
        _product_fit(world, rng, customers, billing),
        *_after_tickets(rng, tickets),
        _after_onboarding(rng, customers, staff, onboardings),
        *_after_interactions(world, rng, customers, staff, billing),
    ]
    parts = [_answer(world, rng, customers, traits, each) for each in invitations]
    names = Answers.__dataclass_fields__
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.argsort(np.where(np.isfinite(whole["sent"]), whole["sent"], whole["responded"]), kind="stable")
    return Answers(**{name: values[order] for name, values in whole.items()})


def _answer(
    world: World, rng: np.random.Generator, customers: Customers, traits: Traits, asked: _Invitations
) -> Answers:
    """Who answers and what: those who feel strongly answer more; a few answer twice."""
    kept = np.isfinite(asked.sent) & (asked.sent < world.days)
    parts = [np.broadcast_to(part, kept.shape)[kept] for part in
             (asked.account, asked.contact, asked.sent, asked.ticket, asked.onboarding, asked.interaction, asked.about,
              np.asarray(asked.shift, dtype=float))]  # fmt: skip
    again = rng.random(len(parts[0])) < 0.004
    account, contact, sent, ticket, onboarding, interaction, about, shift = (
        np.concatenate([part, part[again]]) for part in parts
    )
    count, repeats = len(account), int(again.sum())
    felt = traits.at(account, sent) + customers.contact_bias[contact] + shift
    answers = rng.random(count) < asked.answer_rate * (0.85 + 0.2 * np.abs(felt))
    answers[count - repeats :] = True
    responded = sent + np.minimum(rng.exponential(1.5, count), 20) + 0.01
    responded[count - repeats :] += 3
    responded = np.where(answers & (responded < world.days), responded, np.nan)
    _, _, _, low, high, _, _, middle, gain, noise = SURVEYS[asked.survey]
    score = np.clip(np.rint(middle + gain * felt + rng.normal(0, noise, count)), low, high)
    unasked = np.zeros(count, dtype=bool)
    unasked[count - repeats :] = True
    sent = np.where(unasked, np.nan, sent)
    there = np.isfinite(sent) | np.isfinite(responded)
    return Answers(
        survey=np.full(there.sum(), asked.survey), account=account[there], contact=contact[there], sent=sent[there],
        responded=responded[there], score=np.where(np.isfinite(responded), score, np.nan)[there],
        ticket=ticket[there], onboarding=onboarding[there], interaction=interaction[there], about=about[there],
    )  # fmt: skip


def _alive(billing: Billing, customers: Customers, account: np.ndarray, day: np.ndarray) -> np.ndarray:
    week = np.clip(day // 7, 0, billing.weekly_seats.shape[1] - 1).astype(np.int64)
    return (billing.weekly_seats[account, week] > 0) & ~customers.never_pays[account]


def _cycle(
    world: World, customers: Customers, billing: Billing, first: int, every: int
) -> tuple[np.ndarray, np.ndarray]:
    """(account, day) every so many days, from so many days after the start, while a subscription runs."""
    begin = customers.start_day + first + np.arange(world.accounts) % 29
    account, nth = spread(np.maximum((world.days - begin) // every + 1, 0))
    day = begin[account] + nth * every
    kept = (day < world.days) & _alive(billing, customers, account, day)
    return account[kept], day[kept]


def _relationship(world: World, rng: np.random.Generator, customers: Customers, billing: Billing) -> _Invitations:
    account, day = _cycle(world, customers, billing, 60, 91)
    asked = np.minimum(np.array((2, 3, 5))[customers.segment[account]], customers.contacts[account])
    row, nth = spread(asked)
    account, day = account[row], day[row]
    turn = (nth + day // 91) % customers.contacts[account]
    contact = customers.contact_first[account] + turn
    there = customers.contact_day[contact] <= day
    sent = np.where(there, day + rng.uniform(0.35, 0.6, len(row)), np.nan)
    return _Invitations(NPS, account, contact, sent, answer_rate=0.42)


def _analytics(world: World, rng: np.random.Generator, customers: Customers, billing: Billing) -> _Invitations:
    account, day = _cycle(world, customers, billing, 120, 182)
    holds = billing.weekly_addon[account, day // 7]
    account, day = account[holds], day[holds]
    return _Invitations(NPS_ANALYTICS, account, pick_contacts(rng, customers, account, day), day + 0.4)


def _product_fit(world: World, rng: np.random.Generator, customers: Customers, billing: Billing) -> _Invitations:
    account, day = _cycle(world, customers, billing, 100, 365)
    return _Invitations(FIT, account, pick_contacts(rng, customers, account, day), day + 0.45, answer_rate=0.3)


def _after_tickets(rng: np.random.Generator, tickets: Tickets) -> list[_Invitations]:
    """Solved tickets are followed by a satisfaction question, some by one about effort."""
    solved = np.flatnonzero(np.isfinite(tickets.solved) & ~tickets.by_agent)
    drawn = rng.random(len(solved))
    chat = tickets.channel[solved] == 1
    hours = (tickets.solved - tickets.created)[solved] * 24
    shift = np.where(tickets.reopened[solved], -0.7, 0.1) - 0.1 * np.log1p(hours / 24)
    chosen = ((CSAT, ~chat & (drawn < 0.7)), (CSAT_CHAT, chat & (drawn < 0.8)), (CES_SUPPORT, drawn > 0.88))
    return [
        _Invitations(
            survey, tickets.account[rows], tickets.contact[rows], tickets.solved[rows] + 0.05, ticket=rows,
            about=tickets.agent[rows], answer_rate=0.45, shift=shift[which],
        )
        for survey, which in chosen
        for rows in [solved[which]]
    ]  # fmt: skip


def _after_onboarding(
    rng: np.random.Generator, customers: Customers, staff: Staff, onboardings: Onboardings
) -> _Invitations:
    done = np.flatnonzero(onboardings.completed != NONE)
    account, day = onboardings.account[done], onboardings.completed[done]
    return _Invitations(
        ONBOARDING, account, pick_contacts(rng, customers, account, day), day + 0.75, onboarding=done,
        about=onboardings.csm[done], answer_rate=0.6, shift=1.2 * staff.skill[onboardings.csm[done]],
    )  # fmt: skip


def _after_interactions(
    world: World, rng: np.random.Generator, customers: Customers, staff: Staff, billing: Billing
) -> list[_Invitations]:
    """Effort is asked after a trial sign-up, an upgrade, a renewal and a request for training."""
    subs, moves, terms = billing.subs, billing.moves, billing.terms
    trials = subs.whole("trial_end") != NONE
    grown = moves.whole("kind") == 1
    signed = np.flatnonzero(terms.whole("start") > subs.whole("start")[terms.whole("sub")] + 20)
    account, day = _cycle(world, customers, billing, 90, 210)
    trained = rng.random(len(account)) < 0.5
    sources = (
        (subs.whole("account")[trials], subs.whole("start")[trials] + 1),
        (moves.whole("account")[grown], moves.whole("day")[grown]),
        (subs.whole("account")[terms.whole("sub")[signed]], terms.whole("start")[signed]),
        (account[trained], day[trained]),
    )
    return [
        _Invitations(
            CES, account, pick_contacts(rng, customers, account, day), day + 0.8, interaction=kind,
            about=staff.owner_on(account, day), answer_rate=0.4, shift=(0.1, 0.3, -0.1, 0.2)[kind],
        )
        for kind, (account, day) in enumerate(sources)
    ]  # fmt: skip


def survey_columns() -> dict:
    """surveys."""
    every = np.arange(len(SURVEYS))
    return {
        "survey_id": text([row[0] for row in SURVEYS], every),
        "survey_type": text([row[1] for row in SURVEYS], every),
        "survey_name": text([row[2] for row in SURVEYS], every),
        "scale_min": np.array([row[3] for row in SURVEYS]),
        "scale_max": np.array([row[4] for row in SURVEYS]),
        "higher_is_better": np.array([row[5] for row in SURVEYS]),
        "positive_threshold": np.array([row[6] for row in SURVEYS]),
    }


def moods(survey: np.ndarray, score: np.ndarray) -> np.ndarray:
    """How a score sounds in words: by its distance from the good end of the survey's scale."""
    low, high, better = (np.array([row[column] for row in SURVEYS]) for column in (3, 4, 5))
    share = (np.nan_to_num(score) - low[survey]) / (high - low)[survey]
    share = np.where(better[survey], share, 1 - share)
    return np.where(share <= 0.6, NEGATIVE, np.where(share < 0.85, NEUTRAL, POSITIVE))


def answer_ids(answers: Answers):
    return ids("R", np.arange(1, len(answers.survey) + 1))


def answer_columns(
    world: World, customers: Customers, staff: Staff, tickets: Tickets, onboardings: Onboardings, answers: Answers
) -> dict:
    """survey_responses: a few carry only the contact, not the account."""
    rng, count = world.stream("answer columns"), len(answers.survey)
    answered = np.isfinite(answers.responded)
    mood = moods(answers.survey, answers.score)
    speaks = answered & (rng.random(count) < np.where(mood == NEGATIVE, 0.6, 0.35))
    phrases = Phrases()
    line = phrases.say(
        rng,
        draw_languages(rng, customers.language[answers.account]),
        draw_themes(rng, customers.pain[answers.account], mood),
        mood,
    )
    return {
        "response_id": answer_ids(answers),
        "survey_id": text([row[0] for row in SURVEYS], answers.survey),
        "account_id": text(customers.account_id, np.where(rng.random(count) < 0.02, -1, answers.account)),
        "contact_id": text(customers.contact_id, answers.contact),
        "sent_at": world.moment(answers.sent),
        "responded_at": world.moment(answers.responded),
        "score": answers.score,
        "comment": text(phrases.lines, np.where(speaks, line, -1)),
        "ticket_id": text(ticket_ids(tickets), answers.ticket),
        "onboarding_id": text(onboardings.names, answers.onboarding),
        "interaction_type": text(INTERACTIONS, answers.interaction),
        "related_user_id": text(staff.user_id, answers.about),
        "channel": text(CHANNELS, choose(rng, (60, 24, 11, 5), count)),
    }


def feedback_columns(
    world: World, customers: Customers, staff: Staff, traits: Traits, billing: Billing
) -> dict:  # fmt: skip
    """feedback_items: interviews, reviews, posts, forms; some tools add a rating, a sentiment or themes."""
    rng = world.stream("feedback")
    account, day = _cycle(world, customers, billing, 30, 45)
    kept = rng.random(len(account)) < 0.22
    account, day = account[kept], day[kept]
    count = len(account)
    source = choose(rng, (8, 7, 7, 10, 14, 26, 20, 8), count)
    source[: len(SOURCES)] = np.arange(len(SOURCES))[:count]
    felt = traits.at(account, day) + rng.normal(0, 0.6, count)
    mood = np.where(felt < -0.4, NEGATIVE, np.where(felt < 0.35, NEUTRAL, POSITIVE))
    theme = draw_themes(rng, customers.pain[account], mood)
    phrases = Phrases()
    line = phrases.say(rng, draw_languages(rng, customers.language[account]), theme, mood)
    review, widget, post = source == 4, source == 5, source == 3
    stars = np.clip(np.rint(3.4 + 1.0 * felt), 1, 5)
    unknown = (post & (rng.random(count) < 0.5)) | (review & (rng.random(count) < 0.2))
    heard = source <= 2
    contact = pick_contacts(rng, customers, account, day)
    told = rng.random(count) < 0.25
    named = (rng.random(count) < 0.2) & (theme < len(THEMES))
    name = ids("F", np.arange(1, count + 1), 6)
    return {
        "feedback_id": name,
        "account_id": text(customers.account_id, np.where(unknown, -1, account)),
        "contact_id": text(customers.contact_id, np.where(unknown | post | review, -1, contact)),
        "source": text(SOURCES, source),
        "collected_at": world.moment(np.minimum(day + rng.uniform(0.3, 0.75, count), world.days - 0.01)),
        "body": text(phrases.lines, line),
        "rating": np.where(review | widget, stars, np.nan),
        "rating_max": np.where(review | widget, 5.0, np.nan),
        "sentiment": np.where(told, np.round(np.clip(np.tanh(felt), -1, 1), 2), np.nan),
        "themes": text(THEMES, np.where(named, theme, -1)),
        "collected_by_user_id": text(staff.user_id, np.where(heard, staff.owner_on(account, day), -1)),
        "url": text(["https://reviews.example/vendor"], np.where(review, 0, -1)),
    }
