"""What evaluations of held-out data share: reports in SageMaker's shape, rows' outcomes, the archive.

`multiclass` measures classifiers; `rows` writes what lets the gate compare two models row by row; `archive`
unpacks the model.tar.gz that a processing job is given.
"""
