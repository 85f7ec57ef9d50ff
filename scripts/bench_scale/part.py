"""The part of the recommender's transform that is compared: what was known strictly before each rating.

Window sums over a user's and over a film's past, as glue_scripts/recommender/features.py takes them: counts,
sums and squares of ratings, from which the averages and deviations of the training samples are made.
"""

SQL = """
    select "userId", "movieId", rating, "timestamp",
        count(*) over of_movie as m_count, sum(rating) over of_movie as m_sum,
        sum(rating * rating) over of_movie as m_squares,
        count(*) over of_user as u_count, sum(rating) over of_user as u_sum,
        sum(rating * rating) over of_user as u_squares
    from ratings
    window
        of_movie as (partition by "movieId" order by "timestamp"
                     range between unbounded preceding and 1 preceding),
        of_user as (partition by "userId" order by "timestamp"
                    range between unbounded preceding and 1 preceding)
"""

# What proves that the engines did the same: sums of whole numbers and halves, exact in any order.
CHECK = "select count(*), " + ", ".join(
    f"cast(sum(coalesce({name}, 0)) as double)"
    for name in ("m_count", "u_count", "m_sum", "u_sum", "m_squares", "u_squares")
)
