"""Glue job: training samples out of ratings and movies, each made of what was known before its second.

Reads the channels `ratings` (userId, movieId, rating, timestamp in seconds) and `movies` (movieId, title,
releaseYear, genres joined by |). Writes the datasets
    train, validation, test   one row a rating, the columns COLUMNS; split by time, test is the latest
    users, catalogue          the same statistics after the last rating: what serving looks up

No statistic of a row knows anything of its own second or later: windows end before the *timestamp*, not
before the row, since most ratings of MovieLens share their second with others of the same user. Every
statistic is a running sum of whole numbers and halves, which is exact in any order, and a row costs the same
however long the past of its user and its movie is. What nobody knows yet is null, such as the average of a
movie never rated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

# The genres of MovieLens; a film of no genre is `unknown`. Equals in a user's taste stand in this order.
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
    "unknown",
)
MOVIE_GENRES, USER_GENRES, RATED_MOVIES = 3, 5, 5
# For a film whose year is not known, as the original has it.
DEFAULT_YEAR = 1990
# Years are summed from here on, so that the sums of their squares stay exact.
YEAR_ORIGIN = 1900
# Of a user with fewer earlier ratings too little is known: such rows are the others' past, and no samples.
LEAST_HISTORY = 2

KEYS = ("userId", "movieId", "rating", "timestamp", "label")
MOVIE_FACTS = ("releaseYear", *(f"movieGenre{n}" for n in range(1, MOVIE_GENRES + 1)))
MOVIE_STATISTICS = ("movieRatingCount", "movieAvgRating", "movieRatingStddev")
USER_STATISTICS = (
    *(f"userRatedMovie{n}" for n in range(1, RATED_MOVIES + 1)),
    "userRatingCount",
    "userAvgReleaseYear",
    "userReleaseYearStddev",
    "userAvgRating",
    "userRatingStddev",
    *(f"userGenre{n}" for n in range(1, USER_GENRES + 1)),
)
COLUMNS = KEYS + MOVIE_FACTS + MOVIE_STATISTICS + USER_STATISTICS

DATASETS = ("train", "validation", "test")

RATINGS_SCHEMA = "userId int, movieId int, rating double, timestamp bigint"
MOVIES_SCHEMA = "movieId int, title string, releaseYear int, genres string"

# How a sum is taken: over a window of the past, or over all rows of a group.
Over = Callable[[Column], Column]


def samples(ratings: DataFrame, movies: DataFrame, threshold: float) -> DataFrame:
    """COLUMNS of each rating whose user has LEAST_HISTORY earlier ones; a like is `threshold` or more."""
    before = (Window.unboundedPreceding, -1)
    of_movie = Window.partitionBy("movieId").orderBy("timestamp").rangeBetween(*before)
    of_user = Window.partitionBy("userId").orderBy("timestamp").rangeBetween(*before)
    rated = _movie_statistics(ratings.select("*", *_movie_sums(lambda total: total.over(of_movie))))
    known = described(rated, movies, threshold).select("*", *_user_sums(lambda total: total.over(of_user)))
    known = _user_statistics(known).select(*COLUMNS)
    return known.where(F.col("userRatingCount") >= LEAST_HISTORY)


def user_table(ratings: DataFrame, movies: DataFrame, threshold: float) -> DataFrame:
    """userId and USER_STATISTICS after all ratings: one row a user."""
    sums = _user_sums(lambda total: total)
    return _user_statistics(described(ratings, movies, threshold).groupBy("userId").agg(*sums)).select(
        "userId", *USER_STATISTICS
    )


def movie_table(ratings: DataFrame, movies: DataFrame, threshold: float) -> DataFrame:
    """movieId, MOVIE_FACTS, MOVIE_STATISTICS and `movieLikes` after all ratings, of movies rated or not."""
    likes = F.sum((F.col("rating") >= threshold).cast("long")).alias("movieLikes")
    sums = ratings.groupBy("movieId").agg(*_movie_sums(lambda total: total), likes)
    joined = _movie_facts(movies).join(sums, "movieId", "left").fillna(0, ["_m_count", "movieLikes"])
    return _movie_statistics(joined).select("movieId", *MOVIE_FACTS, *MOVIE_STATISTICS, "movieLikes")


def split(rows: DataFrame, ratings: DataFrame, shares: Sequence[float]) -> list[DataFrame]:
    """`rows` in parts by time, cut at these shares of all ratings: [0.8, 0.9] gives 80, 10 and 10 %."""
    points = split_points(ratings, shares)
    hour = _hour()
    joined = rows.join(F.broadcast(points))
    bounds = [F.lit(None), *(F.col("_points")[i] for i in range(len(shares))), F.lit(None)]
    return [
        joined.where(
            (F.lit(True) if i == 0 else hour >= bounds[i])
            & (F.lit(True) if i == len(shares) else hour < bounds[i + 1])
        ).drop("_points")
        for i in range(len(shares) + 1)
    ]


def split_points(ratings: DataFrame, shares: Sequence[float]) -> DataFrame:
    """One row, `_points`: the hours (since 1970) before which these shares of the ratings lie.

    Exact, and the same in every job that asks: of hours there are few, so percentile() keeps a small table.
    """
    wanted = ", ".join(f"{share}D" for share in shares)
    return ratings.select(_hour().alias("_hour")).agg(
        F.expr(f"transform(percentile(_hour, array({wanted})), x -> cast(ceil(x) as bigint))").alias(
            "_points"
        )
    )


def _hour() -> Column:
    return F.floor(F.col("timestamp") / 3600)


def described(ratings: DataFrame, movies: DataFrame, threshold: float) -> DataFrame:
    """Each rating with its label, its movie's facts, and `_likes`.

    `_likes` is null where the rating is no like, else (timestamp, movieId, [this movie, the like before, …]);
    the greatest `_likes` of a user's past holds the last RATED_MOVIES that they liked, the latest first.
    """
    joined = (
        ratings.join(_movie_facts(movies), "movieId", "left")
        .withColumn("releaseYear", F.coalesce("releaseYear", F.lit(DEFAULT_YEAR)))
        .withColumn("label", (F.col("rating") >= threshold).cast("int"))
        # The windows here and in `samples` are of a user: one shuffle serves them all.
        .repartition("userId")
    )
    order = Window.partitionBy("userId", "label").orderBy("timestamp", "movieId")
    last = F.array(*(F.lag("movieId", back).over(order) for back in range(RATED_MOVIES)))
    like = F.struct("timestamp", "movieId", last.alias("movies"))
    return joined.withColumn("_likes", F.when(F.col("label") == 1, like))


def _movie_facts(movies: DataFrame) -> DataFrame:
    """movieId, `_genres` (array) and MOVIE_FACTS."""
    genres = F.split("genres", r"\|")
    first = [F.get("_genres", F.lit(n)).alias(f"movieGenre{n + 1}") for n in range(MOVIE_GENRES)]
    year = F.coalesce("releaseYear", F.lit(DEFAULT_YEAR)).alias("releaseYear")
    return movies.withColumn("_genres", genres).select("movieId", "_genres", year, *first)


# --- sums, and what is made of them


def _movie_sums(over: Over) -> list[Column]:
    rating = F.col("rating")
    return [
        over(F.count(F.lit(1))).alias("_m_count"),
        over(F.sum(rating)).alias("_m_sum"),
        over(F.sum(rating * rating)).alias("_m_squares"),
    ]


def _movie_statistics(frame: DataFrame) -> DataFrame:
    """MOVIE_STATISTICS in place of their sums."""
    count, total, squares = (F.col(f"_m_{name}") for name in ("count", "sum", "squares"))
    made = {
        "movieRatingCount": count,
        "movieAvgRating": _mean(count, total),
        "movieRatingStddev": _deviation(count, total, squares),
    }
    return frame.withColumns(made).drop("_m_count", "_m_sum", "_m_squares")


def _user_sums(over: Over) -> list[Column]:
    rating, year = F.col("rating"), (F.col("releaseYear") - YEAR_ORIGIN).cast("long")
    liked = F.col("label") == 1
    genres = [
        over(F.sum(F.when(liked & F.array_contains("_genres", genre), 1).otherwise(0))).alias(f"_g_{n}")
        for n, genre in enumerate(GENRES)
    ]
    return [
        over(F.count(F.lit(1))).alias("_u_count"),
        over(F.sum(rating)).alias("_u_sum"),
        over(F.sum(rating * rating)).alias("_u_squares"),
        over(F.sum(year)).alias("_y_sum"),
        over(F.sum(year * year)).alias("_y_squares"),
        over(F.max("_likes")).alias("_u_likes"),
        *genres,
    ]


def _user_statistics(frame: DataFrame) -> DataFrame:
    """USER_STATISTICS beside their sums."""
    count, total, squares = (F.col(f"_u_{name}") for name in ("count", "sum", "squares"))
    years, year_squares = F.col("_y_sum"), F.col("_y_squares")
    taste = F.array(
        *(
            F.struct(F.col(f"_g_{n}").alias("likes"), F.lit(-n).alias("order"), F.lit(genre).alias("genre"))
            for n, genre in enumerate(GENRES)
        )
    )
    ranked = F.sort_array(F.filter(taste, lambda each: each["likes"] > 0), asc=False)
    made = {
        **{f"userRatedMovie{n + 1}": F.get(F.col("_u_likes.movies"), F.lit(n)) for n in range(RATED_MOVIES)},
        "userRatingCount": count,
        "userAvgReleaseYear": (_mean(count, years) + YEAR_ORIGIN).cast("int"),
        "userReleaseYearStddev": _deviation(count, years, year_squares),
        "userAvgRating": _mean(count, total),
        "userRatingStddev": _deviation(count, total, squares),
    }
    frame = frame.withColumns(made).withColumn("_taste", ranked)
    return frame.withColumns(
        {f"userGenre{n + 1}": F.get("_taste", F.lit(n))["genre"] for n in range(USER_GENRES)}
    )


def _mean(count: Column, total: Column) -> Column:
    return F.when(count > 0, total / count)


def _deviation(count: Column, total: Column, squares: Column) -> Column:
    """Of the sample; 0 for one value, null for none."""
    # Rounding may leave a variance of nothing a hair below 0.
    variance = F.greatest((squares - total * total / count) / (count - 1), F.lit(0.0))
    return F.when(count > 1, F.sqrt(variance)).when(count == 1, F.lit(0.0))


def main() -> None:
    """One run as Glue starts it; docs/reference/glue-scripts.md says what it is given and what it leaves."""
    from common import job

    glue = job.start(
        defaults={"LIKED_FROM": "3.5", "TRAIN_SHARE": "0.8", "VALIDATION_SHARE": "0.1", "FILES": "2"}
    )
    threshold, files = float(glue["LIKED_FROM"]), int(glue["FILES"])
    shares = shares_of(float(glue["TRAIN_SHARE"]), float(glue["VALIDATION_SHARE"]))
    ratings = glue.check(glue.read_csv("ratings", RATINGS_SCHEMA, header=True), "ratings")
    movies = glue.check(glue.read_csv("movies", MOVIES_SCHEMA, header=True), "movies")
    if not glue.rejected:
        # Written three times and computed once.
        rows = samples(ratings, movies, threshold).persist(StorageLevel.MEMORY_AND_DISK)
        for name, part in zip(DATASETS, split(rows, ratings, shares), strict=True):
            glue.write(name, in_order(part, files))
        rows.unpersist()
        glue.write(
            "users", user_table(ratings, movies, threshold).repartition(1).sortWithinPartitions("userId")
        )
        glue.write(
            "catalogue",
            movie_table(ratings, movies, threshold).repartition(1).sortWithinPartitions("movieId"),
        )
    glue.finish()


def shares_of(train: float, validation: float) -> list[float]:
    """Where the parts end, as shares of all ratings. Raises ValueError unless each part holds something."""
    if not (train > 0 and validation > 0 and train + validation < 1):
        raise ValueError(
            f"TRAIN_SHARE {train:g} and VALIDATION_SHARE {validation:g} are above 0 and leave some for test"
        )
    return [train, round(train + validation, 9)]


def in_order(rows: DataFrame, files: int) -> DataFrame:
    """In so many files by user, each in the order of time: the same rows are the same files."""
    return rows.repartition(files, "userId").sortWithinPartitions("timestamp", "userId", "movieId")


if __name__ == "__main__":
    main()
