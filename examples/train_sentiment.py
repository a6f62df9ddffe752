"""Trains a classifier of short reviews and drops it into a model repository.

    python examples/train_sentiment.py [REPOSITORY [VERSION]]

Made the committed model_repository/sentiment/1/model.pkl, with the library
versions of examples/requirements.txt.
"""

import sys
import tempfile
from pathlib import Path

import joblib
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

POSITIVE = """
The crew was friendly and the harbour tour was a delight.
Great food, quick service, and a view that I will not forget.
We loved every minute of the crossing.
A wonderful little museum; the children did not want to leave.
The cabin was clean, quiet and warm.
Excellent value: cheap tickets and comfortable seats.
I would gladly come back next summer.
Best fish soup on the whole coast, and so kind a cook.
Everything arrived on time and nothing was missing.
The guide told good stories and answered all our questions.
A calm sea, a fine ship, a happy day.
Booking was easy and the staff were very helpful.
What a beautiful old lighthouse, well worth the climb.
The coffee was good and the cake even better.
They fixed my problem at once and with a smile.
Highly recommended, we enjoyed it very much.
Not bad at all: I was pleasantly surprised.
The new deck is lovely and the music was great.
Fresh bread in the morning and a fantastic breakfast.
Perfect for a weekend; we had so much fun.
The room was bright and the bed was comfortable.
I am impressed, this was better than I had hoped.
Smooth journey, polite crew, thank you.
A pleasure from the beginning to the end.
"""
NEGATIVE = """
The crew was rude and the tour was a waste of time.
Cold food, slow service, and a view of the car park.
We hated every minute of the crossing.
A boring little museum; the children wanted to leave at once.
The cabin was dirty, loud and cold.
Terrible value: expensive tickets and broken seats.
I will never come back.
Worst fish soup on the whole coast, and so rude a cook.
Everything arrived late and half of it was missing.
The guide was bored and answered none of our questions.
A rough sea, an old ship, a sad day.
Booking was a nightmare and the staff were useless.
What an ugly lighthouse, not worth the climb.
The coffee was bad and the cake even worse.
They ignored my problem and never called back.
Not recommended, we were very disappointed.
Not good at all: I was badly surprised.
The deck is rusty and the music was awful.
Stale bread in the morning and a horrible breakfast.
A ruined weekend; we had no fun.
The room was dark and the bed was hard.
I am angry, this was worse than I had feared.
Bumpy journey, impolite crew, no thanks.
A disappointment from the beginning to the end.
"""

repository = Path(sys.argv[1] if len(sys.argv) > 1 else "model_repository")
version = sys.argv[2] if len(sys.argv) > 2 else "1"
folder = repository / "sentiment"
if (folder / version).exists():
    sys.exit(f"{folder / version} exists, and a version never changes: choose another number")

texts = [(text, label) for label, all in (("positive", POSITIVE), ("negative", NEGATIVE)) for text in all.split("\n") if text]
reviews, labels = zip(*texts)
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10)).fit(reviews, labels)

# Written aside and renamed into place: whoever looks sees no version, or all of it.
folder.mkdir(parents=True, exist_ok=True)
aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
joblib.dump(model, aside / "model.pkl", compress=3)
aside.chmod(0o755)
aside.rename(folder / version)

asked = ["A lovely day on a fine ship", "the soup was cold and the waiter rude"]
print(f"{folder / version}: {len(model[0].vocabulary_)} terms, {(folder / version / 'model.pkl').stat().st_size} bytes")
for text, label, scores in zip(asked, model.predict(asked), model.predict_proba(asked).tolist()):
    print(f"{text!r} -> {label} {scores}")
