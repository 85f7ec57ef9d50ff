"""What every Glue script of this repository uses: arguments, reading, data quality, writing a dataset whole.

from common import job

    glue = job.start(["MIN_RATING"])
    ratings = glue.read_csv("ratings", "user int, movie int, rating double", header=True)
    ratings = glue.check(ratings, "ratings")
    if not glue.rejected:
        glue.write("train", ratings, format="parquet")
    glue.finish()

The same bytes run on AWS Glue 5.x and on the local target's Spark: `docs/reference/glue-scripts.md`.
"""
