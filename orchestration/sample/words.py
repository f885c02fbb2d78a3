"""What customers say: short comments by theme and mood, in English and a few in German and Spanish."""

import numpy as np
import pyarrow as pa

THEMES = ("performance", "usability", "pricing", "support", "onboarding", "features", "integrations", "reliability",
          "reporting")  # fmt: skip
# What people talk about who do not complain: speed and price are things one notices when they are bad.
PRAISED = (0.03, 0.16, 0.04, 0.18, 0.10, 0.18, 0.12, 0.12, 0.07)
NEGATIVE, NEUTRAL, POSITIVE = range(3)
ENGLISH, GERMAN, SPANISH = range(3)

SAID = {
    (ENGLISH, "performance"): (
        (
            "The app is painfully slow since spring.",
            "Dashboards take forever to load, people give up.",
            "Slow loading pages cost my team an hour a day.",
            "Performance got worse with every release.",
        ),
        ("Speed is okay on most days.", "Loading time is average, nothing special."),
        ("Really fast, pages load instantly.", "Great performance even with our large projects."),
    ),
    (ENGLISH, "usability"): (
        (
            "The interface is confusing and hard to navigate.",
            "Too complicated, my team still needs help with simple tasks.",
            "Terrible usability, I never find the settings.",
            "Far too many clicks, frustrating to use.",
        ),
        ("The navigation takes some getting used to.", "Interface is fine once you know it."),
        (
            "So easy to use, everybody understood it at once.",
            "Love the clean and intuitive interface.",
            "A pleasure to use every day.",
        ),
    ),
    (ENGLISH, "pricing"): (
        (
            "Too expensive for what we get.",
            "The price increase was a nasty surprise.",
            "Hard to justify the cost to our finance team.",
            "Pricing is not transparent and keeps rising.",
        ),
        ("Price is in line with the others.", "We compared the cost again this year."),
        ("Excellent value for money.", "Fair pricing and worth every cent."),
    ),
    (ENGLISH, "support"): (
        (
            "Support never answers in time.",
            "We waited four days for a reply from the support team, unacceptable.",
            "Poor customer service, the agent did not understand the issue.",
            "Support closed my ticket without a solution.",
        ),
        ("Support answered, still waiting for the result.", "The help desk works as expected."),
        (
            "The support team is amazing and quick.",
            "Helpful and friendly agent, solved at once.",
            "Best customer service we have ever had.",
        ),
    ),
    (ENGLISH, "onboarding"): (
        (
            "Onboarding was chaotic, nobody trained our users.",
            "Setup took months and the training was poor.",
            "We felt lost during the implementation.",
        ),
        ("Onboarding is still going on.", "The training covered the basics."),
        ("Smooth onboarding, we were productive within two weeks.", "Great training sessions, thank you."),
    ),
    (ENGLISH, "features"): (
        (
            "Missing features that every competitor has.",
            "We lack bulk editing and it is annoying.",
            "Disappointed, the feature we were promised is still not there.",
        ),
        ("Would like more features in the calendar.", "A few functions could be extended."),
        ("The new automation feature is fantastic.", "Great features, we use nearly all of them."),
    ),
    (ENGLISH, "integrations"): (
        (
            "The Salesforce integration breaks every week.",
            "API is badly documented and the sync fails.",
            "Integration with our ERP never worked, very frustrating.",
        ),
        ("We use the integration with Slack.", "The API does what it says."),
        ("Love the integrations, the sync just works.", "The API is excellent and well documented."),
    ),
    (ENGLISH, "reliability"): (
        (
            "Another outage, we lost a day of work.",
            "Constant crashes and bugs, awful.",
            "Too many errors, we do not trust the data any more.",
        ),
        ("We saw an error last month, it is fixed.", "Some small bugs remain."),
        ("Rock solid, no outage in a year.", "Very reliable, it simply works."),
    ),
    (ENGLISH, "reporting"): (
        (
            "Reports are useless for our management.",
            "The export is broken and reporting is far too rigid.",
            "Bad reporting, I build everything again in a spreadsheet.",
        ),
        ("We use the standard reports.", "The export covers what we need for now."),
        ("The reports are wonderful, my boss loves the dashboard.", "Great reporting, saves us hours every month."),
    ),
    (GERMAN, "performance"): (
        ("Die Seiten laden viel zu langsam.",),
        ("Die Geschwindigkeit ist in Ordnung.",),
        ("Sehr schnell, das macht Freude.",),
    ),
    (GERMAN, "usability"): (
        ("Die Bedienung ist umständlich und verwirrend.",),
        ("Die Bedienung ist gewöhnungsbedürftig.",),
        ("Sehr einfach zu bedienen, alle sind begeistert.",),
    ),
    (GERMAN, "pricing"): (
        ("Viel zu teuer für das, was wir bekommen.",),
        ("Der Preis ist marktüblich.",),
        ("Das Preis-Leistungs-Verhältnis ist hervorragend.",),
    ),
    (GERMAN, "support"): (
        ("Der Kundendienst antwortet nie rechtzeitig.",),
        ("Der Support hat geantwortet.",),
        ("Der Support ist freundlich und schnell.",),
    ),
    (SPANISH, "performance"): (
        ("La aplicación es muy lenta.",),
        ("La velocidad es normal.",),
        ("Muy rápido, estamos contentos.",),
    ),
    (SPANISH, "usability"): (
        ("La interfaz es confusa y difícil de usar.",),
        ("La interfaz es aceptable.",),
        ("Muy fácil de usar, excelente.",),
    ),
    (SPANISH, "pricing"): (
        ("Demasiado caro para lo que ofrece.",),
        ("El precio es normal.",),
        ("Buena relación calidad-precio.",),
    ),
    (SPANISH, "support"): (
        ("El soporte tarda días en responder.",),
        ("El soporte respondió.",),
        ("El equipo de soporte es excelente.",),
    ),
}
UNCLEAR = (
    ("Not happy.", "Disappointing.", "We expected more."),
    ("ok", "Fine so far.", "No comment.", "see my last mail"),
    ("Keep it up!", "Very happy.", "Thanks!"),
)


class Phrases:
    """All comments in one list with a table of where each theme, mood and language begins."""

    def __init__(self) -> None:
        lines: list[str] = []
        shape = (3, len(THEMES) + 1, 3)
        self.first, self.count = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for language in range(3):
            for theme in range(len(THEMES) + 1):
                spoken = language if (language, THEMES[theme % len(THEMES)]) in SAID else ENGLISH
                moods = UNCLEAR if theme == len(THEMES) else SAID[spoken, THEMES[theme]]
                for mood, said in enumerate(moods):
                    self.first[language, theme, mood], self.count[language, theme, mood] = len(lines), len(said)
                    lines.extend(said)
        self.lines = pa.array(lines)

    def say(self, rng: np.random.Generator, language: np.ndarray, theme: np.ndarray, mood: np.ndarray) -> np.ndarray:
        """A line (index into `lines`) for each; the theme len(THEMES) says nothing in particular."""
        count = self.count[language, theme, mood]
        return self.first[language, theme, mood] + (rng.random(len(theme)) * count).astype(np.int64)


def draw_themes(rng: np.random.Generator, pain: np.ndarray, mood: np.ndarray) -> np.ndarray:
    """What they talk about: who complains mostly names the account's own pain; one in eight says nothing clear."""
    count = len(pain)
    theme = rng.choice(len(THEMES), count, p=PRAISED)
    theme = np.where((mood == NEGATIVE) & (rng.random(count) < 0.65), pain, theme)
    return np.where(rng.random(count) < 0.12, len(THEMES), theme)


def draw_languages(rng: np.random.Generator, language: np.ndarray) -> np.ndarray:
    """Most write in English; a good part of German and Spanish customers write in their own language."""
    return np.where(rng.random(len(language)) < 0.45, language, ENGLISH)
