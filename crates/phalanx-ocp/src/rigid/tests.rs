use super::*;
use crate::vec3::{add, dot, norm, quat_exp, quat_mul, quat_unit, rotate, scale, sub, unrotate};
use proptest::prelude::*;

const GRAVITY: V3 = [0.3, -0.2, -9.8];

fn vector(size: f64) -> impl Strategy<Value = V3> {
    prop::array::uniform3(-size..size)
}

fn axis() -> impl Strategy<Value = V3> {
    (vector(1.0), 0..3usize).prop_map(|(v, way)| match norm(v) {
        long if long > 0.1 => scale(1.0 / long, v),
        _ => std::array::from_fn(|i| f64::from(i == way)),
    })
}

/// A body of four points of mass, so that its inertia is one that matter can have.
fn weight() -> impl Strategy<Value = (f64, V3, [f64; 6])> {
    prop::collection::vec((vector(0.3), 0.1..2.0f64), 4).prop_map(|points| {
        let mass: f64 = points.iter().map(|(_, mass)| mass).sum();
        let com =
            scale(1.0 / mass, points.iter().fold([0.0; 3], |sum, (at, mass)| add(sum, scale(*mass, *at))));
        let about = points
            .iter()
            .fold([[0.0; 3]; 3], |sum, (at, mass)| vec3::madd(&sum, &spatial::steiner(*mass, sub(*at, com))));
        (mass, com, [about[0][0], about[1][1], about[2][2], about[0][1], about[0][2], about[1][2]])
    })
}

/// A base, and up to eight links that hang on any earlier one, a few of them fixed.
fn links() -> impl Strategy<Value = Vec<Link>> {
    let link =
        (weight(), vector(0.5), vector(3.0), axis(), vector(0.2), 0..5usize, any::<prop::sample::Index>());
    prop::collection::vec(link, 1..9).prop_map(|all| {
        let mut joint = 0..;
        let mut links: Vec<Link> = Vec::new();
        for ((mass, com, inertia), pos, turned, axis, anchor, kind, parent) in all {
            let parent = (!links.is_empty()).then(|| parent.index(links.len()));
            let moves = match kind {
                _ if parent.is_none() => Moves::Fixed,
                0 => Moves::Fixed,
                1 => Moves::Slides { joint: joint.next().unwrap(), axis },
                _ => Moves::Turns { joint: joint.next().unwrap(), axis, anchor },
            };
            let armature = 0.01 * kind as f64;
            links.push(Link { parent, pos, quat: quat_exp(turned), moves, mass, com, inertia, armature });
        }
        links
    })
}

type Scene = (Vec<Link>, Vec<f64>, Vec<f64>, Vec<f64>, [V3; 4]);

/// A tree, and numbers enough for its coordinates, velocities and so on.
fn scene() -> impl Strategy<Value = Scene> {
    let numbers = || prop::collection::vec(-2.0..2.0f64, 8);
    (links(), numbers(), numbers(), numbers(), prop::array::uniform4(vector(2.0)))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-7 * (1.0 + a.abs() + b.abs())
}

fn all_near(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> bool {
    a.into_iter().zip(b).all(|(a, b)| near(a, b))
}

fn flat(twist: &Twist) -> impl Iterator<Item = f64> {
    twist.lin.into_iter().chain(twist.ang)
}

/// Potential energy, and its zero is at the base's origin.
fn potential(tree: &Tree, work: &Workspace) -> f64 {
    let all = tree.composite(work);
    -all.mass * dot(GRAVITY, all.com)
}

proptest! {
    #[test]
    fn forward_undoes_inverse_dynamics((links, q, v, a, [lin, ang, b, c]) in scene()) {
        let tree = Tree::new(&links).unwrap();
        let n = tree.joints();
        let mut work = tree.workspace();
        tree.place(&mut work, &q[..n]);
        tree.push(&mut work, links.len() - 1, b, c);
        let moving = Moving { base: Twist { lin, ang }, v: &v[..n], gravity: GRAVITY };
        let (mut efforts, mut back) = (vec![0.0; n], vec![0.0; n]);
        // Nothing holds the base: find by forward dynamics how it moves, and ask which efforts do that.
        let base = tree.forward_dynamics(&mut work, &moving, &a[..n], &mut back).unwrap();
        let wrench = tree.inverse_dynamics(&mut work, &moving, &base, &back, &mut efforts);
        let size = 1e-7 * (1.0 + back.iter().fold(norm(base.ang), |most, a| most.max(a.abs())));
        prop_assert!(norm(wrench.force) < size * tree.mass() && norm(wrench.torque) < size * tree.mass(), "{wrench:?}");
        prop_assert!(efforts.iter().zip(&a).all(|(a, b)| (a - b).abs() < size * tree.mass()), "{efforts:?} {a:?}");
    }

    #[test]
    fn mass_matrix_agrees_with_inverse_dynamics_and_energy((links, q, v, a, [lin, ang, b, c]) in scene()) {
        let tree = Tree::new(&links).unwrap();
        let n = tree.joints();
        let mut work = tree.workspace();
        tree.place(&mut work, &q[..n]);
        let moving = Moving { base: Twist { lin, ang }, v: &v[..n], gravity: GRAVITY };
        let mut matrix = vec![0.0; (6 + n) * (6 + n)];
        tree.mass_matrix(&mut work, &mut matrix);
        let (mut bias, mut efforts) = (vec![0.0; n], vec![0.0; n]);
        let held = tree.bias(&mut work, &moving, &mut bias);
        let wrench = tree.inverse_dynamics(&mut work, &moving, &Twist { lin: b, ang: c }, &a[..n], &mut efforts);
        let accelerations: Vec<f64> = b.into_iter().chain(c).chain(a[..n].iter().copied()).collect();
        let velocities: Vec<f64> = lin.into_iter().chain(ang).chain(v[..n].iter().copied()).collect();
        let times = |x: &[f64]| -> Vec<f64> {
            matrix.chunks(6 + n).map(|row| row.iter().zip(x).map(|(m, x)| m * x).sum()).collect()
        };
        let forces = held.force.into_iter().chain(held.torque).chain(bias);
        let sum: Vec<f64> = times(&accelerations).into_iter().zip(forces).map(|(a, b)| a + b).collect();
        let expected = wrench.force.into_iter().chain(wrench.torque).chain(efforts);
        prop_assert!(all_near(sum, expected));
        let energy: f64 = times(&velocities).iter().zip(&velocities).map(|(p, v)| 0.5 * p * v).sum();
        prop_assert!(near(energy, tree.kinetic_energy(&mut work, &moving.base, &v[..n])));
    }

    #[test]
    fn points_move_as_their_jacobians_say((links, mut q, v, _, [lin, ang, inside, _]) in scene()) {
        let tree = Tree::new(&links).unwrap();
        let (n, link) = (tree.joints(), links.len() - 1);
        let mut work = tree.workspace();
        tree.place(&mut work, &q[..n]);
        let (base, mut columns) = (Twist { lin, ang }, vec![[0.0; 3]; n]);
        tree.jacobian(&work, link, inside, &mut columns);
        let point = tree.point(&work, link, inside);
        let moved = columns.iter().zip(&v).fold(base.at(point), |sum, (column, v)| add(sum, scale(*v, *column)));
        prop_assert!(all_near(moved, tree.velocity(&work, &base, &v[..n], link, inside)));
        let (origin, axes) = tree.pose(&work, link);
        prop_assert!(all_near(point, add(origin, vec3::mul(&axes, inside))));
        let chain = tree.chain(link);
        prop_assert!((0..n).all(|joint| chain.contains(&joint) || columns[joint] == [0.0; 3]));
        for joint in 0..n {
            let h = 1e-6;
            let mut at = |step: f64| {
                q[joint] += step;
                tree.place(&mut work, &q[..n]);
                tree.point(&work, link, inside)
            };
            let (up, down) = (at(h), at(-2.0 * h));
            at(h);
            prop_assert!(norm(sub(scale(0.5 / h, sub(up, down)), columns[joint])) < 1e-6);
        }
    }

    #[test]
    fn holding_up_is_the_slope_of_the_potential((links, mut q, _, _, [inside, force, ..]) in scene()) {
        let tree = Tree::new(&links).unwrap();
        let (n, link) = (tree.joints(), links.len() - 1);
        let mut work = tree.workspace();
        tree.place(&mut work, &q[..n]);
        let rest = vec![0.0; n];
        let moving = Moving { gravity: GRAVITY, ..Moving::at_rest(&rest) };
        let mut efforts = vec![0.0; n];
        let wrench = tree.bias(&mut work, &moving, &mut efforts);
        let all = tree.composite(&work);
        prop_assert!(near(all.mass, links.iter().map(|link| link.mass).sum()));
        let expected = Wrench::at(scale(-all.mass, GRAVITY), all.com);
        prop_assert!(all_near(wrench.force, expected.force) && all_near(wrench.torque, expected.torque));

        // A push takes over what its Jacobian says.
        let point = tree.point(&work, link, inside);
        let mut columns = vec![[0.0; 3]; n];
        tree.jacobian(&work, link, inside, &mut columns);
        tree.push(&mut work, link, point, force);
        let mut relieved = vec![0.0; n];
        tree.bias(&mut work, &moving, &mut relieved);
        let saved: Vec<f64> = columns.iter().map(|&column| dot(column, force)).collect();
        prop_assert!(all_near(efforts.iter().zip(&relieved).map(|(all, left)| all - left), saved));
        tree.release(&mut work);
        tree.bias(&mut work, &moving, &mut relieved);
        prop_assert_eq!(&relieved, &efforts);

        for joint in 0..n {
            let h = 1e-6;
            let mut at = |step: f64| {
                q[joint] += step;
                tree.place(&mut work, &q[..n]);
                potential(&tree, &work)
            };
            let (up, down) = (at(h), at(-2.0 * h));
            at(h);
            prop_assert!((0.5 * (up - down) / h - efforts[joint]).abs() < 1e-5);
        }
    }

    #[test]
    fn composites_are_the_base_block_of_the_mass_matrix((links, q, ..) in scene()) {
        let tree = Tree::new(&links).unwrap();
        let n = tree.joints();
        let mut work = tree.workspace();
        tree.place(&mut work, &q[..n]);
        let mut matrix = vec![0.0; (6 + n) * (6 + n)];
        tree.mass_matrix(&mut work, &mut matrix);
        let all = tree.composite(&work);
        let about_origin = vec3::madd(&all.inertia, &spatial::steiner(all.mass, all.com));
        for i in 0..3 {
            prop_assert!(all_near(matrix[(3 + i) * (6 + n) + 3..][..3].iter().copied(), about_origin[i]));
        }
    }

    #[test]
    fn cutting_a_body_in_two_changes_nothing(
        (mut links, q, v, a, [lin, ang, at, turned]) in scene(),
        cut in weight(),
        which in any::<prop::sample::Index>(),
    ) {
        let carrier = which.index(links.len());
        let (mass, com, inertia) = cut;
        let quat = quat_exp(turned);
        let piece = Link { parent: Some(carrier), pos: at, quat, mass, com, inertia, ..Link::default() };
        // The same mass once as a fixed link, once inside the link that carries it.
        let whole = {
            let host = links[carrier];
            let own = |link: &Link, rot: &M3, pos: V3| {
                let [xx, yy, zz, xy, xz, yz] = link.inertia;
                let about = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
                spatial::Inertia::about_com(link.mass, link.com, &about).seen_from(rot, pos)
            };
            let both = own(&host, &vec3::IDENTITY, [0.0; 3]).plus(&own(&piece, &vec3::mat_of_quat(piece.quat), at));
            let com = scale(1.0 / both.mass, both.first);
            let about = vec3::madd(&both.second, &vec3::mscale(-1.0, &spatial::steiner(both.mass, com)));
            let inertia = [about[0][0], about[1][1], about[2][2], about[0][1], about[0][2], about[1][2]];
            let mut whole = links.clone();
            whole[carrier] = Link { mass: both.mass, com, inertia, ..host };
            whole
        };
        links.push(piece);
        let moves = |links: &[Link]| {
            let tree = Tree::new(links).unwrap();
            let n = tree.joints();
            let mut work = tree.workspace();
            tree.place(&mut work, &q[..n]);
            let mut out = vec![0.0; n];
            let moving = Moving { base: Twist { lin, ang }, v: &v[..n], gravity: GRAVITY };
            let base = tree.forward_dynamics(&mut work, &moving, &a[..n], &mut out).unwrap();
            (base, out)
        };
        let ((base, out), (whole_base, whole_out)) = (moves(&links), moves(&whole));
        let size = out.iter().fold(1.0 + norm(base.ang) + norm(base.lin), |most, a| most.max(a.abs()));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-7 * size;
        prop_assert!(flat(&base).zip(flat(&whole_base)).all(|(a, b)| close(a, b)));
        prop_assert!(out.iter().zip(&whole_out).all(|(a, b)| close(*a, *b)));
    }

    #[test]
    fn a_leg_reaches_what_it_can(
        q in (-0.7..0.7f64, -0.6..2.0f64, -2.4..-1.0f64),
        off in vector(0.3),
        far in vector(2.0),
    ) {
        let tree = quadruped_leg();
        let limits = [[-0.8, 0.8], [-1.0, 4.2], [-2.7, -0.9]];
        let leg = tree.leg(3, [0.0, 0.0, -0.2], &limits).unwrap();
        let q = [q.0, q.1, q.2];
        let mut work = tree.workspace();
        tree.place(&mut work, &q);
        let foot = leg.foot(q);
        prop_assert!(norm(sub(foot, tree.point(&work, 3, [0.0, 0.0, -0.2]))) < 1e-12);
        let mut columns = [[0.0; 3]; 3];
        tree.jacobian(&work, 3, [0.0, 0.0, -0.2], &mut columns);
        let (_, jacobian) = leg.foot_and_jacobian(q);
        prop_assert!((0..3).all(|i| (0..3).all(|j| (jacobian[i][j] - columns[j][i]).abs() < 1e-12)));

        let found = leg.reach(foot, add(q, off));
        prop_assert!((norm(sub(leg.foot(found.q), foot)) - found.residual).abs() < 1e-12);
        // Beside or above the hip, limits leave dead ends.
        prop_assert!(foot[2] > -0.1 || found.residual < 1e-8, "{found:?}");
        let held = leg.reach(far, q);
        prop_assert!((0..3).all(|i| (limits[i][0]..=limits[i][1]).contains(&held.q[i])));
        prop_assert!((norm(sub(leg.foot(held.q), far)) - held.residual).abs() < 1e-12);
        // No posture is nearer than the leg is long.
        let reach = norm([0.08, 0.4, 0.0]);
        prop_assert!(held.residual >= norm(sub(far, leg.hip())) - reach - 1e-9);
        // Nor does any small change of posture bring it nearer.
        for nudge in [[1e-3, 0.0, 0.0], [0.0, 1e-3, 0.0], [0.0, 0.0, 1e-3]] {
            for nudged in [add(held.q, nudge), sub(held.q, nudge)] {
                let inside = (0..3).all(|i| (limits[i][0]..=limits[i][1]).contains(&nudged[i]));
                prop_assert!(!inside || norm(sub(leg.foot(nudged), far)) > held.residual - 1e-5);
            }
        }
    }
}

/// One leg with the lengths of an A1's.
fn quadruped_leg() -> Tree {
    let turns = |joint, axis| Moves::Turns { joint, axis, anchor: [0.0; 3] };
    let y = [0.0, 1.0, 0.0];
    Tree::new(&[
        Link { mass: 6.0, ..Link::default() },
        Link { parent: Some(0), pos: [0.18, 0.05, 0.0], moves: turns(0, [1.0, 0.0, 0.0]), ..Link::default() },
        Link { parent: Some(1), pos: [0.0, 0.08, 0.0], moves: turns(1, y), ..Link::default() },
        Link { parent: Some(2), pos: [0.0, 0.0, -0.2], moves: turns(2, y), ..Link::default() },
    ])
    .unwrap()
}

#[test]
fn legs_are_checked_and_survive_anything() {
    let tree = quadruped_leg();
    let free = [[f64::NEG_INFINITY, f64::INFINITY]; 3];
    let leg = tree.leg(3, [0.0, 0.0, -0.2], &free).unwrap();
    assert_eq!(leg.joints(), [0, 1, 2]);
    assert_eq!((leg.hip(), leg.shoulder()), ([0.18, 0.05, 0.0], [0.18, 0.13, 0.0]));
    assert_eq!(leg.pick(&[0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]);
    for target in [[f64::NAN; 3], [f64::INFINITY, 0.0, 0.0], [1e300; 3], [-1e200, 0.0, 1e200]] {
        for start in [[0.0; 3], [f64::NAN; 3], [f64::INFINITY; 3], [1e300; 3]] {
            let found = leg.reach(target, start);
            assert!(found.q.iter().all(|q| q.is_finite()) && !found.residual.is_nan(), "{found:?}");
        }
    }
    // A straight leg sees no way up; the other start does.
    let found = leg.reach([0.18, 0.13, -0.3], [0.0; 3]);
    assert!(found.residual < 1e-8, "{found:?}");
    assert!(matches!(tree.leg(2, [0.0; 3], &free), Err(TreeError::NotALeg { link: 2, joints: 2 })));
    let crossed = [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
    assert!(matches!(tree.leg(3, [0.0; 3], &crossed), Err(TreeError::Limits { joint: 1 })));
}

#[test]
fn hostile_links_are_refused() {
    let link = Link { mass: 1.0, ..Link::default() };
    let turns = |joint| Moves::Turns { joint, axis: [0.0, 0.0, 1.0], anchor: [0.0; 3] };
    let refused = |links: &[Link]| Tree::new(links).unwrap_err().to_string();
    assert!(refused(&[Link { parent: Some(0), ..link }]).contains("parents first"));
    assert!(refused(&[Link { pos: [f64::NAN, 0.0, 0.0], ..link }]).contains("not finite"));
    assert!(refused(&[Link { mass: -1.0, ..link }]).contains("below 0"));
    assert!(refused(&[Link { quat: [0.0; 4], ..link }]).contains("quaternion"));
    assert!(refused(&[link, Link { moves: turns(1), ..link }]).contains("above the number"));
    assert!(
        refused(&[link, Link { moves: turns(0), ..link }, Link { moves: turns(0), ..link }])
            .contains("another link")
    );
    assert!(refused(&[]).contains("no mass"));
    let flat = Moves::Slides { joint: 0, axis: [0.0; 3] };
    assert!(refused(&[link, Link { moves: flat, ..link }]).contains("length 1"));

    // A joint, or a base, that nothing resists: an answer, not a division by zero.
    let forward = |links: &[Link]| {
        let tree = Tree::new(links).unwrap();
        let mut a = vec![0.0; tree.joints()];
        let v = a.clone();
        tree.forward_dynamics(&mut tree.workspace(), &Moving::at_rest(&v), &v, &mut a)
    };
    let solid = Link { inertia: [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], ..link };
    assert_eq!(
        forward(&[solid, Link { moves: turns(0), ..link }]),
        Err(TreeError::Singular { joint: Some(0) })
    );
    assert_eq!(forward(&[link]), Err(TreeError::Singular { joint: None }));
    assert!(forward(&[solid, Link { moves: turns(0), armature: 0.1, ..link }]).is_ok());
}

/// A tumbling chain: energy stays, and so does momentum where nothing falls.
#[test]
fn energy_and_momentum_are_kept() {
    for gravity in [[0.0; 3], [0.0, 0.0, -9.81]] {
        let solid = |mass: f64| [0.02 * mass, 0.03 * mass, 0.04 * mass, 0.001, -0.002, 0.003];
        let turns = |joint, axis| Moves::Turns { joint, axis, anchor: [0.05, 0.0, 0.02] };
        let link = |parent, moves, mass| Link {
            parent: Some(parent),
            pos: [0.1, -0.05, -0.1],
            quat: quat_exp([0.1, 0.2, 0.3]),
            moves,
            mass,
            com: [0.02, 0.01, -0.1],
            inertia: solid(mass),
            armature: 0.0,
        };
        let tree = Tree::new(&[
            Link { mass: 3.0, com: [0.01, 0.02, 0.03], inertia: solid(3.0), ..Link::default() },
            link(0, turns(0, [0.0, 1.0, 0.0]), 1.0),
            link(1, turns(1, [1.0, 0.0, 0.0]), 0.7),
            link(0, Moves::Slides { joint: 2, axis: [0.0, 0.6, 0.8] }, 0.5),
        ])
        .unwrap();
        let mut work = tree.workspace();
        // Position, quaternion, base twist, q, v: the whole state as one array of numbers for Runge and Kutta.
        let rate = |x: &[f64; 19], work: &mut Workspace| -> [f64; 19] {
            let quat: Quat = [x[3], x[4], x[5], x[6]];
            let base = Twist { lin: [x[7], x[8], x[9]], ang: [x[10], x[11], x[12]] };
            tree.place(work, &x[13..16]);
            let moving = Moving { base, v: &x[16..19], gravity: unrotate(quat, gravity) };
            let mut a = [0.0; 3];
            let accelerated = tree.forward_dynamics(work, &moving, &[0.0; 3], &mut a).unwrap();
            let spin = quat_mul(quat, [0.0, 0.5 * base.ang[0], 0.5 * base.ang[1], 0.5 * base.ang[2]]);
            let mut out = [0.0; 19];
            out[..3].copy_from_slice(&rotate(quat, base.lin));
            out[3..7].copy_from_slice(&spin);
            out[7..10].copy_from_slice(&accelerated.lin);
            out[10..13].copy_from_slice(&accelerated.ang);
            out[13..16].copy_from_slice(&x[16..19]);
            out[16..].copy_from_slice(&a);
            out
        };
        let kept = |x: &[f64; 19], work: &mut Workspace| -> (f64, V3, V3) {
            let (pos, quat) = ([x[0], x[1], x[2]], quat_unit([x[3], x[4], x[5], x[6]]));
            let base = Twist { lin: [x[7], x[8], x[9]], ang: [x[10], x[11], x[12]] };
            tree.place(work, &x[13..16]);
            let all = tree.composite(work);
            let com = add(pos, rotate(quat, all.com));
            let mut matrix = [0.0; 81];
            tree.mass_matrix(work, &mut matrix);
            let velocities: Vec<f64> = flat(&base).chain(x[16..19].iter().copied()).collect();
            let row = |i: usize| -> f64 { (0..9).map(|j| matrix[9 * i + j] * velocities[j]).sum() };
            let linear = rotate(quat, [row(0), row(1), row(2)]);
            let about_origin = rotate(quat, [row(3), row(4), row(5)]);
            let energy = tree.kinetic_energy(work, &base, &x[16..19]) - all.mass * dot(gravity, com);
            (energy, linear, add(about_origin, vec3::cross(pos, linear)))
        };
        let mut x = [0.0; 19];
        x[3] = 1.0;
        x[7..13].copy_from_slice(&[0.3, -0.2, 0.5, 1.0, -2.0, 0.7]);
        x[16..].copy_from_slice(&[3.0, -2.0, 0.4]);
        let start = kept(&x, &mut work);
        let dt = 1e-3;
        for _ in 0..1000 {
            let along = |x: &[f64; 19], k: &[f64; 19], s: f64| std::array::from_fn(|i| x[i] + s * k[i]);
            let k1 = rate(&x, &mut work);
            let k2 = rate(&along(&x, &k1, 0.5 * dt), &mut work);
            let k3 = rate(&along(&x, &k2, 0.5 * dt), &mut work);
            let k4 = rate(&along(&x, &k3, dt), &mut work);
            x = std::array::from_fn(|i| x[i] + dt / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]));
        }
        let end = kept(&x, &mut work);
        assert!((start.0 - end.0).abs() < 1e-6 * (1.0 + start.0.abs()), "{start:?} {end:?}");
        let fallen = scale(tree.mass(), gravity);
        assert!(norm(sub(add(start.1, fallen), end.1)) < 1e-6, "{start:?} {end:?}");
        if gravity == [0.0; 3] {
            assert!(norm(sub(start.2, end.2)) < 1e-6, "{start:?} {end:?}");
        }
    }
}
