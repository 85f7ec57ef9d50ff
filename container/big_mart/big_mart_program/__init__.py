"""What preprocessing, evaluation and serving of big_mart share: raw rows, and what the model makes of them.

Nothing here knows the columns of Big Mart by name: settings.toml names them as arguments of `preprocess`.
"""
