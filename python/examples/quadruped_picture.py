"""Pictures of a whole fleet: its robots are drawn into one scene, one after the other.

    python quadruped_picture.py go1 states.npz fleet.png     # what `take` runs, once for every way to render

`states.npz` holds `states` (n, 1 + nq + nv), as `Fleet.state`, and `colours` (n, 3), of the trunks.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mujoco  # type: ignore[import-untyped]
import numpy as np
import robots
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: MuJoCo's ways to render without a display, in the order they are tried.
WAYS = ("egl", "osmesa")
#: Of a picture, pixels.
WIDTH, HEIGHT = 1280, 720
#: Robots side by side at the start, and how far they are apart, m: along their way and across.
ABREAST = 8
SPACING = (1.25, 0.85)
#: For a picture, s.
PATIENCE = 120.0
#: Round the robots, m.
MARGIN = 0.45
#: How high the sun stands, m.
SUN = 8.0
#: Corners of meshes nearer than this are drawn as one, m.
CELL = 0.004
#: MuJoCo's geoms that one robot is drawn with, at most.
PARTS = 200


def take(robot: str, states: Array, colours: Array, path: Path) -> str:
    """Takes a picture of the robots, with their trunks in colours (n, 3); says how.

    By a program of its own: MuJoCo takes one way to render per process, and a graphics driver may do worse
    than fail. Where nothing renders, lines between the bodies have to do.
    """
    given = os.environ.get("MUJOCO_GL")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "states.npz")
        np.savez(file, states=states, colours=colours)
        command = [sys.executable, __file__, robot, str(file), str(path)]
        for way in [given] if given else WAYS:
            environment = {**os.environ, "MUJOCO_GL": way}
            try:
                done = subprocess.run(
                    command, env=environment, capture_output=True, timeout=PATIENCE, check=False
                )
            except subprocess.TimeoutExpired:
                continue
            if done.returncode == 0:
                return f"rendered by {way}"
    sketch(Stage(robots.find(robot), len(states)), states, colours, path)
    return "drawn as lines: nothing renders here (apt-get install libegl1 libgl1-mesa-dri)"


def sketch(stage: Stage, states: Array, colours: Array, path: Path) -> None:
    """Robots as lines from body to body, by matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), layout="constrained")
    axes = figure.add_subplot(projection="3d", azim=30.0, elev=25.0)
    model, data = stage.model, stage.data
    for state, place, colour in zip(states, stage.places, colours, strict=True):
        stage.pose(state, place)
        for body in range(2, model.nbody):
            line = data.xpos[[model.body_parentid[body], body]]
            axes.plot(*line.T, color=colour)
        for geom in np.flatnonzero(model.body_weldid[model.geom_bodyid] > 1):
            axes.plot(*np.stack((data.xpos[model.geom_bodyid[geom]], data.geom_xpos[geom])).T, color="0.3")
    axes.set_aspect("equal")
    axes.set_axis_off()
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


class Stage:
    """A floor under a sky, on which robots are drawn in any state.

    States are (n, 1 + nq + nv) as in `Fleet.state`. Each robot has its place on a grid.
    """

    def __init__(self, robot: robots.Quadruped, n: int) -> None:
        spec = robot.drawn()
        for mesh in spec.meshes:
            simplify(mesh, Path(spec.modelfiledir, spec.meshdir))
        scenery(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        rank, file = np.divmod(np.arange(n), ABREAST)
        self.places = np.stack((-SPACING[0] * rank, -SPACING[1] * file), axis=1)

    def pose(self, state: Array, place: Array) -> None:
        """Brings the model where a robot is."""
        self.data.qpos[:] = state[1 : 1 + self.model.nq]
        self.data.qpos[:2] += place
        mujoco.mj_forward(self.model, self.data)

    def add(self, scene: Any, states: Array) -> None:
        """Adds all robots but the first, which is what the model itself shows, to a scene."""
        option, nothing, moving = mujoco.MjvOption(), mujoco.MjvPerturb(), mujoco.mjtCatBit.mjCAT_DYNAMIC
        for state, place in zip(states[1:], self.places[1:], strict=True):
            self.pose(state, place)
            mujoco.mjv_addGeoms(self.model, self.data, option, nothing, moving, scene)
        self.pose(states[0], self.places[0])

    def camera(self, states: Array) -> Any:
        """A camera that sees all robots, as near as it can."""
        camera = mujoco.MjvCamera()
        camera.azimuth, camera.elevation = 212.0, -25.0
        azimuth, elevation = np.radians((camera.azimuth, camera.elevation))
        ahead = np.array(
            [
                math.cos(elevation) * math.cos(azimuth),
                math.cos(elevation) * math.sin(azimuth),
                math.sin(elevation),
            ]
        )
        right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
        axes = np.stack((right, np.cross(right, ahead)))
        # Of half a picture at a distance of 1, with a margin for the robots' own size.
        half = math.tan(math.radians(self.model.vis.global_.fovy / 2)) * np.array([WIDTH / HEIGHT, 1.0])
        points = states[:, 1:4] + np.pad(self.places, ((0, 0), (0, 1)))
        centre = points.mean(axis=0)
        for _ in range(20):
            seen, depth = (points - centre) @ axes.T, (points - centre) @ ahead
            distance = float(((np.abs(seen) + MARGIN) / half - depth[:, None]).max())
            shown = seen / (distance + depth)[:, None]
            centre = centre + 0.5 * distance * (shown.min(axis=0) + shown.max(axis=0)) / 2 @ axes
        camera.lookat[:], camera.distance = centre, distance
        return camera

    def draw(self, states: Array, colours: Array) -> NDArray[np.uint8]:
        """A picture, (height, width, 3), with the trunks in colours (n, 3)."""
        camera = self.camera(states)
        # The sun throws shadows round where it stands.
        self.model.light_pos[0, :2] = camera.lookat[:2] - self.model.light_dir[0, :2] * SUN
        with mujoco.Renderer(self.model, HEIGHT, WIDTH, max_geom=PARTS * len(states)) as renderer:
            self.pose(states[0], self.places[0])
            renderer.update_scene(self.data, camera)
            self.add(renderer.scene, states)
            self.paint(renderer.scene, colours)
            return np.asarray(renderer.render())

    def paint(self, scene: Any, colours: Array) -> None:
        """Gives the trunks in a scene their colours, in the order they are drawn in."""
        kind = mujoco.mjtObj.mjOBJ_GEOM
        trunk = set(np.flatnonzero(self.model.geom_bodyid == 1))
        parts = [g for g in scene.geoms[: scene.ngeom] if g.objtype == kind and g.objid in trunk]
        # Its dark parts stay darker.
        brightest = max(part.rgba[:3].mean() for part in parts)
        row, last = -1, math.inf
        for part in parts:
            row, last = row + (part.objid <= last), part.objid
            part.rgba[:3] = colours[row] * part.rgba[:3].mean() / brightest
            part.matid = -1


class Window:
    """MuJoCo's viewer with the whole fleet in it."""

    def __init__(self, stage: Stage, states: Array) -> None:
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise SystemExit("there is no display for a window (DISPLAY is not set): leave --gui")
        import mujoco.viewer

        self.stage = stage
        stage.pose(states[0], stage.places[0])
        self.viewer = mujoco.viewer.launch_passive(
            stage.model, stage.data, show_left_ui=False, show_right_ui=False
        )
        seen, ours = stage.camera(states), self.viewer.cam
        ours.lookat[:], ours.distance = seen.lookat, seen.distance
        ours.azimuth, ours.elevation = seen.azimuth, seen.elevation

    def show(self, states: Array, colours: Array) -> None:
        """Draws the robots as they are now; nothing once the user has closed the window."""
        if not self.viewer.is_running():
            return
        with self.viewer.lock():
            scene = self.viewer.user_scn
            scene.ngeom = 0
            self.stage.add(scene, states)
            if scene.ngeom:
                self.stage.paint(scene, colours[1:])
        self.viewer.sync()

    def close(self) -> None:
        """Closes the window."""
        self.viewer.close()


def simplify(mesh: Any, folder: Path) -> None:
    """Merges what is closer than a fleet's picture can show: a robot's meshes have 200,000 triangles."""
    file = folder / mesh.file
    if file.suffix.lower() != ".stl" or file.read_bytes()[:5] == b"solid":
        return
    triangle = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("spare", "<u2")])
    corners = np.fromfile(file, triangle, offset=84)["corners"].reshape(-1, 3)
    cells = np.round(corners * np.asarray(mesh.scale) / CELL).astype(int)
    _, first, which = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    faces = which.reshape(-1, 3)
    kept = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    mesh.uservert, mesh.userface = corners[first].ravel(), faces[kept].ravel()
    mesh.name, mesh.file = mesh.name or file.stem, ""
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def scenery(spec: Any) -> None:
    """A floor, a sky and the sun."""
    visual = spec.visual
    visual.global_.offwidth, visual.global_.offheight = WIDTH, HEIGHT
    visual.quality.shadowsize, visual.quality.offsamples = 8192, 8
    visual.headlight.ambient, visual.headlight.diffuse = [0.4] * 3, [0.3] * 3
    visual.headlight.specular = [0.0] * 3
    # In multiples of the extent. Not farther than need be: depth is what shadows are made of.
    spec.stat.extent, spec.stat.center = 10.0, [0, 0, 0.3]
    visual.map.shadowclip, visual.map.znear, visual.map.zfar = 2.0, 0.05, 6.0
    visual.map.fogstart, visual.map.fogend = 1.2, 3.5
    visual.rgba.haze = visual.rgba.fog = [0.90, 0.93, 0.96, 1]
    for texture in list(spec.textures):
        if texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX:
            spec.delete(texture)
    sky = spec.add_texture(name="stage sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    sky.builtin, sky.width, sky.height = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, 512, 3072
    sky.rgb1, sky.rgb2 = [0.90, 0.93, 0.96], [0.45, 0.62, 0.80]
    tiles = spec.add_texture(name="stage tiles", type=mujoco.mjtTexture.mjTEXTURE_2D)
    tiles.builtin, tiles.width, tiles.height = mujoco.mjtBuiltin.mjBUILTIN_CHECKER, 512, 512
    tiles.rgb1, tiles.rgb2 = [0.86, 0.88, 0.89], [0.80, 0.82, 0.84]
    floor = spec.add_material(name="stage floor", texrepeat=[1, 1], texuniform=True)
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "stage tiles"
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.05], material="stage floor")
    for light in list(spec.lights):
        spec.delete(light)
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0, 0, SUN],
        dir=[-0.35, 0.45, -1.0],
        castshadow=True,
        diffuse=[0.55] * 3,
        specular=[0.25] * 3,
    )


def main() -> None:
    """Renders, in the way that MUJOCO_GL says."""
    from matplotlib.image import imsave

    robot, file, path = sys.argv[1:]
    with np.load(file) as given:
        states, colours = given["states"], given["colours"]
    imsave(path, Stage(robots.find(robot), len(states)).draw(states, colours), format="png")


if __name__ == "__main__":
    main()
