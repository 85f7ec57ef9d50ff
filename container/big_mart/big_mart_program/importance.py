"""What a model looks at: how much each feature, and each raw column, has brought its trees."""

from __future__ import annotations

from .model import Model


def shares(made: Model) -> dict[str, dict[str, float]]:
    """`columns` and `features` -> share of the trees' whole gain, the largest first; each sums to 1.

    Gain is what splits by a feature took off the training's loss, all of them together.
    """
    # The built-in algorithm's data has no names: its features are f0, f1 and so on.
    gained = made.booster.get_score(importance_type="total_gain")
    names = made.encoder.names
    total = sum(map(float, gained.values())) or 1.0
    features: dict[str, float] = {}
    columns: dict[str, float] = {}
    for key, gain in gained.items():
        at = _place(str(key), names)
        share = float(gain) / total
        features[names[at]] = share
        column = made.encoder.column_of(at)
        columns[column] = columns.get(column, 0.0) + share
    return {"columns": _sorted(columns), "features": _sorted(features)}


def _place(key: str, names: list[str]) -> int:
    return names.index(key) if key in names else int(key.removeprefix("f"))


def _sorted(shares: dict[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
