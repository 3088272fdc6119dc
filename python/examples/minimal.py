"""Four robots, a controller each, in the fewest lines: `python minimal.py`."""

import phalanx as px


class Damp(px.RHController):
    """Takes the swing out of a joint."""

    def solve(self, inputs, outputs):
        """Pushes against the motion."""
        outputs.cmd.joint_effort = -0.5 * inputs.state.joint_v


with px.Cluster(px.RobotSpec("pendulum", ["hinge"]), Damp, n=4) as cluster:
    client = cluster.client()
    client.state.joint_v = [[0.0], [1.0], [2.0], [3.0]]
    report = client.solve()
    print(report, client.cmd.joint_effort.ravel())
