"""Clicks of a DataFrame predicted by a model that was chosen in a given time, saved, and used elsewhere."""

import sys
from pathlib import Path

from nasrec import CTRClassifier, data


def main(out: Path, rows: int = 20_000, time_limit_s: float = 120) -> float:
    """Accuracy of the chosen model on rows that it has not seen."""
    clicks = data.synthesize("frappe", rows).log.to_frame()  # or pandas.read_csv("my-log.csv")
    train, new = clicks[: rows * 9 // 10], clicks[rows * 9 // 10 :]
    model = CTRClassifier(time_limit_s=time_limit_s, verbose=True)
    model.fit(train.drop(columns="label"), train["label"])
    print(model.leaderboard().to_string())
    model.save(out)
    served = CTRClassifier.load(out)  # on any machine; no code of the folder runs
    print(new.assign(click=served.predict_proba(new)[:, 1]).head().to_string())
    return served.score(new, new["label"])


if __name__ == "__main__":
    print(f"accuracy {main(Path(sys.argv[1] if len(sys.argv) > 1 else 'runs/classifier')):.4f}")
