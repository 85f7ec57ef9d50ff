"""What training, evaluation and serving of the recommender agree on: columns, genres, the order of features.

The columns are those that glue_scripts/recommender/features.py writes; a test holds both to the same names.
"""

# Index 0 of an embedding is for what is absent or unknown; genre n of this list is index n + 1.
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
MOVIE_GENRES = ("movieGenre1", "movieGenre2", "movieGenre3")
USER_GENRES = ("userGenre1", "userGenre2", "userGenre3", "userGenre4", "userGenre5")
RATED = ("userRatedMovie1", "userRatedMovie2", "userRatedMovie3", "userRatedMovie4", "userRatedMovie5")
# The seven numbers of the original.
MOVIE_NUMBERS = ("releaseYear", "movieRatingCount", "movieAvgRating", "movieRatingStddev")
USER_NUMBERS = ("userRatingCount", "userAvgRating", "userRatingStddev")
# Long-tailed: the model sees log(1 + count).
COUNTS = ("movieRatingCount", "userRatingCount")
LABEL = "label"
