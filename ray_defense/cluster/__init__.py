"""The Ray side of the executor: the only package that imports ray; it knows no algorithm.

Call `session.start_executor` rather than importing its modules first: Ray reads its environment as
it is imported.
"""
