"""What training, evaluation and serving of iris agree on.

Classes, in the order of the model's outputs: 0 setosa, 1 versicolor, 2 virginica.
Features, in the order of the columns: sepal length, sepal width, petal length, petal width (cm).
"""

CLASSES = ("setosa", "versicolor", "virginica")
FEATURES = ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm")
