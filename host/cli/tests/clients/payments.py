"""Payments of the pack rules/payments, the same in every run, and what its rule card_velocity must say of them."""

import json
import math
import random

import setting

# 2026-01-05T08:00:00Z. All payments are made within one hour from then, so the sliding hour holds all of a card's.
START = 1_767_600_000_000
CARDS = [f"{setting.NAME}-{number:02}" for number in range(60)]
CITIES = [("DE", 52.52, 13.41), ("FR", 48.86, 2.35), ("AU", -33.87, 151.21)]


def make(first, count):
    """So many payments; `first` counts on from those that were made before."""
    dice = random.Random(first)
    for number in range(first, first + count):
        country, lat, lon = dice.choices(CITIES, weights=[8, 3, 1])[0]
        online = dice.random() < 0.3
        yield {
            "id": f"p-{number}",
            # A few cards pay most.
            "card": CARDS[int(len(CARDS) * dice.random() ** 2)],
            "merchant": f"{setting.NAME}-shop-{dice.randrange(20)}",
            "category": dice.choice(["grocery", "electronics", "travel"]),
            "country": country,
            "amount": round(dice.expovariate(1 / 80) + 0.01, 2),
            "time": START + number * 3_000,
            "lat": lat,
            "lon": lon,
            "channel": "online" if online else dice.choice(["chip", "contactless"]),
            "device": f"{setting.NAME}-phone-{dice.randrange(30)}" if online else None,
        }


def newer_schema(schema):
    """A producer's next schema: with a field that the stream does not know, without one that has a default there."""
    newer = json.loads(json.dumps(schema))
    newer["fields"] = [field for field in newer["fields"] if field["name"] != "device"]
    newer["fields"].append({"name": "terminal", "type": ["null", "string"], "default": None})
    return newer


def newer(payment):
    """A payment by that schema, and what the stream makes of it."""
    rest = {name: value for name, value in payment.items() if name != "device"}
    return {**rest, "terminal": "t-1"}, {**rest, "device": None}


def velocity(payments):
    """The scores of card_velocity: id -> score. By the pack's config; payments come in their order."""
    counts, sums, scores = {}, {}, {}
    for payment in payments:
        card, amount = payment["card"], payment["amount"]
        counts[card] = counts.get(card, 0) + 1
        sums[card] = sums.get(card, 0.0) + amount
        total = -7.0 + 0.002 * amount + 0.001 * sums[card] + 0.6 * counts[card]
        scores[payment["id"]] = 1.0 / (1.0 + math.exp(-total))
    return scores
