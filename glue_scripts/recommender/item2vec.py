"""Glue job: item2vec, a vector for each movie, by Word2Vec over what users liked one after the other.

Reads the channel `ratings` (userId, movieId, rating, timestamp). A user is a sentence, the movies that they
liked are its words, in the order of time. Learns only from the time before the test of features.py begins, so
that recall can be measured on it. Writes the datasets
    embeddings        movieId, vector (array of floats), as Parquet
    embeddings_text   one line a movie, `id:v1 v2 …`, as the original has it

Spark's Word2Vec keeps its vocabulary, one vector a movie, on the driver; ratings never come there.
"""

from __future__ import annotations

from pyspark.ml.feature import Word2Vec
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

RATINGS_SCHEMA = "userId int, movieId int, rating double, timestamp bigint"
SECONDS_AN_HOUR = 3600


def before(ratings: DataFrame, share: float) -> DataFrame:
    """The ratings before the hour at which this share of all is reached, as features.py splits them."""
    hour = F.floor(F.col("timestamp") / SECONDS_AN_HOUR)
    point = ratings.select(hour.alias("_hour")).agg(
        F.expr(f"cast(ceil(percentile(_hour, {share}D)) as bigint)").alias("_end")
    )
    return ratings.join(F.broadcast(point)).where(hour < F.col("_end")).drop("_end")


def sentences(ratings: DataFrame, threshold: float, partitions: int) -> DataFrame:
    """userId and `movies`: ids as text in the order in which the user liked them, equals of a second by id.

    In the order of the users, so that the same ratings teach the same.
    """
    liked = ratings.where(F.col("rating") >= threshold)
    in_time = F.sort_array(F.collect_list(F.struct("timestamp", "movieId")))["movieId"].cast("array<string>")
    return (
        liked.groupBy("userId")
        .agg(in_time.alias("movies"))
        .coalesce(partitions)
        .sortWithinPartitions("userId")
    )


def embeddings(
    told: DataFrame, *, size: int, window: int, iterations: int, least: int, seed: int, partitions: int
) -> DataFrame:
    """movieId and `vector` (`size` floats) of each movie that is in the sentences `least` times or more."""
    model = Word2Vec(
        vectorSize=size,
        windowSize=window,
        maxIter=iterations,
        minCount=least,
        seed=seed,
        numPartitions=partitions,
        inputCol="movies",
        outputCol="vector",
    ).fit(told)
    movie = F.col("word").cast("int").alias("movieId")
    return model.getVectors().select(movie, _array(F.col("vector")).alias("vector"))


def _array(vector: Column) -> Column:
    """MLlib's vector as an array. Its text is a JSON list; MLlib's own function would need pandas."""
    return F.from_json(vector.cast("string"), "array<double>").cast("array<float>")


def lines(vectors: DataFrame) -> DataFrame:
    """One column of text, `id:v1 v2 …`."""
    numbers = F.array_join(F.col("vector").cast("array<string>"), " ")
    return vectors.select(F.concat(F.col("movieId").cast("string"), F.lit(":"), numbers).alias("value"))


def main() -> None:
    """One run as Glue starts it; docs/reference/glue-scripts.md says what it is given and what it leaves."""
    from common import job

    glue = job.start(
        defaults={
            "LIKED_FROM": "3.5",
            "LEARN_SHARE": "0.9",
            "VECTOR_SIZE": "10",
            "WINDOW": "5",
            "ITERATIONS": "10",
            "LEAST_LIKES": "5",
            "SEED": "7",
            "PARTITIONS": "1",
        }
    )
    partitions = int(glue["PARTITIONS"])
    ratings = glue.check(glue.read_csv("ratings", RATINGS_SCHEMA, header=True), "ratings")
    if not glue.rejected:
        told = sentences(before(ratings, float(glue["LEARN_SHARE"])), float(glue["LIKED_FROM"]), partitions)
        vectors = (
            embeddings(
                told.persist(),
                size=int(glue["VECTOR_SIZE"]),
                window=int(glue["WINDOW"]),
                iterations=int(glue["ITERATIONS"]),
                least=int(glue["LEAST_LIKES"]),
                seed=int(glue["SEED"]),
                partitions=partitions,
            )
            .repartition(1)
            .sortWithinPartitions("movieId")
            .persist()
        )
        glue.write("embeddings", vectors)
        # Neither ids nor numbers hold what CSV would quote: its lines are the text's.
        glue.write("embeddings_text", lines(vectors), format="csv")
    glue.finish()


if __name__ == "__main__":
    main()
