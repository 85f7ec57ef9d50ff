"""The compared part, or the whole transform of the recommender, in Spark: a script as Glue's are.

engine_spark.py INPUT OUTPUT part|whole
"""

import sys

from pyspark.sql import SparkSession

source, target, what = sys.argv[-3:]
spark = SparkSession.builder.getOrCreate()
ratings = spark.read.parquet(source)
ratings.createOrReplaceTempView("ratings")
if what == "part":
    from part import SQL

    spark.sql(SQL.replace('"', "`")).write.parquet(target)
else:
    from features import samples

    ids = ratings.select("movieId").distinct()
    movies = ids.selectExpr(
        "movieId",
        "concat('film ', movieId) as title",
        "cast(1950 + movieId % 70 as int) as releaseYear",
        "concat(element_at(array('Action', 'Comedy'), cast(movieId % 2 + 1 as int)), '|War') as genres",
    )
    samples(ratings, movies, 3.5).write.parquet(target)
spark.stop()
