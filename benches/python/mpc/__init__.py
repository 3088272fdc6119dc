"""MPC problems, defined independently of the kernels, and the solvers the kernels are measured against.

`lq` says what a linear-quadratic problem is, `srbd`, `linear` and `cartpole` make some, `problems` writes
them into a folder with solutions that `lq.residual` has checked, `racers` are the solvers, one worker
process each.
"""
