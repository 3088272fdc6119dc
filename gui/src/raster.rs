//! Pictures without a display: egui's triangles painted in software.
//!
//! What the window's graphics card would show, pixel by pixel and alike on any machine: vertices are snapped to
//! 1/256 of a pixel and edges are integers, so triangles that share an edge neither overlap nor leave a gap; colours
//! are blended in gamma space with premultiplied alpha, as egui's shaders do. It is meant
//! for pictures and tests, not for sixty frames a second.

use egui::{
    ClippedPrimitive, Color32, ColorImage, Context, Pos2, RawInput, Rect, TextureFilter, TextureId,
    TextureOptions, TextureWrapMode, Ui, Vec2,
    epaint::{ImageData, Mesh, Primitive, Vertex, textures::TexturesDelta},
};
use std::{collections::HashMap, io, path::Path};

/// Paints triangles; holds the textures they refer to.
#[derive(Debug, Default)]
pub struct Raster {
    textures: HashMap<TextureId, Texture>,
}

#[derive(Debug)]
struct Texture {
    size: [usize; 2],
    texels: Vec<Color32>,
    options: TextureOptions,
}

impl Raster {
    /// Takes new textures, parts of textures, and gives up freed ones. To be called before the frame is painted
    /// whose output the change came with, and leaves nothing in it.
    pub fn update(&mut self, delta: &mut TexturesDelta) {
        for (id, changes) in &delta.set {
            for change in changes {
                let ImageData::Color(image) = &change.image;
                match (change.pos, self.textures.get_mut(id)) {
                    (Some(at), Some(texture)) => texture.replace(at, image),
                    _ => {
                        let texels = image.pixels.clone();
                        self.textures
                            .insert(*id, Texture { size: image.size, texels, options: change.options });
                    }
                }
            }
        }
        // A texture may be freed in the frame that still shows it; what is kept until its id comes anew costs memory
        // alone, and ids are not used twice.
        delta.clear();
    }

    /// Paints a frame over a background: `size` in pixels, triangles in points.
    pub fn paint(
        &self,
        size: [usize; 2],
        pixels_per_point: f32,
        primitives: &[ClippedPrimitive],
        background: Color32,
    ) -> ColorImage {
        let mut image = ColorImage::filled(size, background);
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            // What an application draws by its own shaders cannot be shown here.
            let Primitive::Mesh(mesh) = primitive else { continue };
            let Some(texture) = self.textures.get(&mesh.texture_id) else { continue };
            let clip = Clip::new(*clip_rect, pixels_per_point, size);
            if !clip.is_empty() {
                paint_mesh(&mut image, mesh, texture, pixels_per_point, clip);
            }
        }
        image
    }
}

/// Pixels that may be painted, ends excluded.
#[derive(Clone, Copy)]
struct Clip {
    x: [i64; 2],
    y: [i64; 2],
}

impl Clip {
    fn new(rect: Rect, scale: f32, size: [usize; 2]) -> Self {
        let side = |from: f32, to: f32, limit: usize| {
            [from, to].map(|at| ((at * scale).round() as i64).clamp(0, limit as i64))
        };
        Self { x: side(rect.min.x, rect.max.x, size[0]), y: side(rect.min.y, rect.max.y, size[1]) }
    }

    fn is_empty(&self) -> bool {
        self.x[0] >= self.x[1] || self.y[0] >= self.y[1]
    }
}

/// Parts of a pixel that a vertex is snapped to.
const SUB: i64 = 256;

/// Further out than this, in pixels, vertices are held back so that no product overflows.
const FAR: f32 = 1e6;

fn snapped(at: Pos2, scale: f32) -> Option<[i64; 2]> {
    let one = |x: f32| ((x * scale).clamp(-FAR, FAR) * SUB as f32).round() as i64;
    (at.x.is_finite() && at.y.is_finite()).then(|| [one(at.x), one(at.y)])
}

fn paint_mesh(image: &mut ColorImage, mesh: &Mesh, texture: &Texture, scale: f32, clip: Clip) {
    for corners in mesh.indices.chunks_exact(3) {
        let Some(a) = mesh.vertices.get(corners[0] as usize) else { continue };
        let Some(b) = mesh.vertices.get(corners[1] as usize) else { continue };
        let Some(c) = mesh.vertices.get(corners[2] as usize) else { continue };
        if let Some(triangle) = Triangle::new([a, b, c], scale) {
            triangle.paint(image, texture, clip);
        }
    }
}

/// A line through two corners: `a x + b y + c`, positive inside, over positions in parts of a pixel.
#[derive(Clone, Copy)]
struct Edge {
    a: i64,
    b: i64,
    c: i64,
    /// 0 where a centre exactly on the line is inside, 1 where it belongs to the neighbour.
    least: i64,
}

impl Edge {
    fn new([x0, y0]: [i64; 2], [x1, y1]: [i64; 2]) -> Self {
        let (a, b) = (y0 - y1, x1 - x0);
        let mine = a > 0 || (a == 0 && b > 0);
        Self { a, b, c: -(a * x0 + b * y0), least: i64::from(!mine) }
    }

    fn at(&self, x: i64, y: i64) -> i64 {
        self.a * x + self.b * y + self.c
    }
}

/// The centre of a pixel, in parts of one.
fn centre(pixel: i64) -> i64 {
    pixel * SUB + SUB / 2
}

/// Three corners in the order that makes the area positive.
struct Triangle {
    at: [[i64; 2]; 3],
    area: i64,
    colour: [[f32; 4]; 3],
    uv: [Pos2; 3],
    flat: bool,
    plain: bool,
}

impl Triangle {
    fn new(mut corners: [&Vertex; 3], scale: f32) -> Option<Self> {
        let at = |v: &Vertex| snapped(v.pos, scale);
        let area = |[p, q, r]: [[i64; 2]; 3]| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
        let mut positions = [at(corners[0])?, at(corners[1])?, at(corners[2])?];
        if area(positions) < 0 {
            corners.swap(1, 2);
            positions.swap(1, 2);
        }
        let area = area(positions);
        let [a, b, c] = corners;
        let unseen = |v: &Vertex| v.color == Color32::TRANSPARENT;
        (area > 0 && !(unseen(a) && unseen(b) && unseen(c))).then(|| Self {
            at: positions,
            area,
            colour: corners.map(|v| v.color.to_array().map(f32::from)),
            uv: corners.map(|v| v.uv),
            flat: a.color == b.color && b.color == c.color,
            plain: a.uv == b.uv && b.uv == c.uv,
        })
    }

    fn paint(&self, image: &mut ColorImage, texture: &Texture, clip: Clip) {
        let [p, q, r] = self.at;
        // The weight of a corner is the edge across from it, over the area.
        let edges = [Edge::new(q, r), Edge::new(r, p), Edge::new(p, q)];
        let top = p[1].min(q[1]).min(r[1]).div_euclid(SUB).max(clip.y[0]);
        let bottom = (p[1].max(q[1]).max(r[1]).div_euclid(SUB) + 1).min(clip.y[1]);
        let uniform = (self.flat && self.plain)
            .then(|| to_colour(mul(self.colour[0], texture.sample(self.uv[0]).map(|c| c / 255.0))));
        for y in top..bottom {
            let Some([from, to]) = span(&edges, y, clip.x) else { continue };
            let row = y as usize * image.size[0];
            let pixels = &mut image.pixels[row + from as usize..row + to as usize];
            match uniform {
                Some(colour) if colour.a() == 255 => pixels.fill(colour),
                Some(colour) => pixels.iter_mut().for_each(|pixel| *pixel = over(*pixel, colour)),
                None => self.shade(&edges, [from, y], texture, pixels),
            }
        }
    }

    /// One row of pixels whose colour or texture varies.
    fn shade(&self, edges: &[Edge; 3], [x, y]: [i64; 2], texture: &Texture, pixels: &mut [Color32]) {
        let per_area = 1.0 / self.area as f64;
        let mut weights = edges.map(|e| e.at(centre(x), centre(y)));
        let still = texture.sample(self.uv[0]);
        for pixel in pixels {
            let w = weights.map(|w| (w as f64 * per_area) as f32);
            let mix = |of: [f32; 3]| of[0] * w[0] + of[1] * w[1] + of[2] * w[2];
            let texel = if self.plain {
                still
            } else {
                texture.sample(Pos2::new(mix(self.uv.map(|t| t.x)), mix(self.uv.map(|t| t.y))))
            };
            let colour = if self.flat {
                self.colour[0]
            } else {
                std::array::from_fn(|i| mix(self.colour.map(|c| c[i])))
            };
            *pixel = over(*pixel, to_colour(mul(colour, texel.map(|c| c / 255.0))));
            for (weight, edge) in weights.iter_mut().zip(edges) {
                *weight += edge.a * SUB;
            }
        }
    }
}

/// The pixels of a row whose centres lie inside all edges.
fn span(edges: &[Edge; 3], y: i64, [mut from, mut to]: [i64; 2]) -> Option<[i64; 2]> {
    for edge in edges {
        // a (x SUB + SUB/2) + rest >= least, for whole x
        let (step, rest) = (edge.a * SUB, edge.at(SUB / 2, centre(y)) - edge.least);
        match step {
            0 if rest < 0 => return None,
            0 => {}
            1.. => from = from.max(-rest.div_euclid(step)),
            _ => to = to.min(rest.div_euclid(-step) + 1),
        }
    }
    (from < to).then_some([from, to])
}

fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    std::array::from_fn(|i| a[i] * b[i])
}

fn to_colour(rgba: [f32; 4]) -> Color32 {
    let [r, g, b, a] = rgba.map(|c| (c + 0.5) as u8);
    Color32::from_rgba_premultiplied(r, g, b, a)
}

/// Blends a colour over what is there.
fn over(below: Color32, colour: Color32) -> Color32 {
    let through = 255 - u32::from(colour.a());
    let mut out = colour.to_array();
    for (above, below) in out.iter_mut().zip(below.to_array()) {
        *above = (u32::from(*above) + (u32::from(below) * through + 127) / 255).min(255) as u8;
    }
    Color32::from_rgba_premultiplied(out[0], out[1], out[2], out[3])
}

impl Texture {
    fn replace(&mut self, [x, y]: [usize; 2], part: &ColorImage) {
        for (line, texels) in part.pixels.chunks_exact(part.size[0].max(1)).enumerate() {
            let at = (y + line) * self.size[0] + x;
            if let Some(place) = self.texels.get_mut(at..at + texels.len()) {
                place.copy_from_slice(texels);
            }
        }
    }

    /// The colour at a place between 0 and 1, channels up to 255.
    fn sample(&self, uv: Pos2) -> [f32; 4] {
        let (x, y) = (uv.x * self.size[0] as f32, uv.y * self.size[1] as f32);
        if self.options.magnification == TextureFilter::Nearest {
            return self.texel(x.floor() as i64, y.floor() as i64);
        }
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, above) = (x.floor(), y.floor());
        let (right, below) = (x - left, y - above);
        let (left, above) = (left as i64, above as i64);
        let mut sum = [0.0; 4];
        for (dx, dy, weight) in [
            (0, 0, (1.0 - right) * (1.0 - below)),
            (1, 0, right * (1.0 - below)),
            (0, 1, (1.0 - right) * below),
            (1, 1, right * below),
        ] {
            if weight > 0.0 {
                let texel = self.texel(left + dx, above + dy);
                sum = std::array::from_fn(|i| sum[i] + texel[i] * weight);
            }
        }
        sum
    }

    fn texel(&self, x: i64, y: i64) -> [f32; 4] {
        let wrap = |at: i64, size: usize| {
            let size = size.max(1) as i64;
            match self.options.wrap_mode {
                TextureWrapMode::ClampToEdge => at.clamp(0, size - 1),
                TextureWrapMode::Repeat => at.rem_euclid(size),
                TextureWrapMode::MirroredRepeat => {
                    let at = at.rem_euclid(2 * size);
                    at.min(2 * size - 1 - at)
                }
            }
        };
        let at = wrap(y, self.size[1]) as usize * self.size[0] + wrap(x, self.size[0]) as usize;
        self.texels.get(at).map_or([0.0; 4], |texel| texel.to_array().map(f32::from))
    }
}

/// Frames after which a layout has found its sizes and appearances have faded in.
const FRAMES: usize = 8;

/// Time between them, s.
const FRAME_S: f64 = 0.25;

/// A picture of what is drawn: `size` in points. Drawn several times over, until sizes have settled.
pub fn picture(
    size: Vec2,
    pixels_per_point: f32,
    theme: &crate::theme::Theme,
    draw: impl FnMut(&mut Ui),
) -> ColorImage {
    let ctx = Context::default();
    theme.apply(&ctx);
    picture_of(&ctx, size, pixels_per_point, draw)
}

/// The same, in a context that has its style already.
pub fn picture_of(
    ctx: &Context,
    size: Vec2,
    pixels_per_point: f32,
    mut draw: impl FnMut(&mut Ui),
) -> ColorImage {
    let mut raster = Raster::default();
    let mut frame = 0;
    loop {
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, size)),
            time: Some(frame as f64 * FRAME_S),
            predicted_dt: FRAME_S as f32,
            focused: true,
            ..RawInput::default()
        };
        if let Some(viewport) = input.viewports.get_mut(&input.viewport_id) {
            viewport.native_pixels_per_point = Some(pixels_per_point);
        }
        let mut output = ctx.run_ui(input, &mut draw);
        raster.update(&mut output.textures_delta);
        frame += 1;
        if frame == FRAMES {
            let scale = output.pixels_per_point;
            let primitives = ctx.tessellate(output.shapes, scale);
            let pixels = [size.x, size.y].map(|side| (side * pixels_per_point).round().max(1.0) as usize);
            return raster.paint(pixels, scale, &primitives, ctx.global_style().visuals.panel_fill);
        }
    }
}

/// A picture as PNG.
pub fn png(image: &ColorImage) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.size[0] as u32, image.size[1] as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let rgba: Vec<u8> = image.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect();
    encoder.write_header()?.write_image_data(&rgba)?;
    Ok(bytes)
}

/// Writes a picture to a PNG file, whole or not at all.
pub fn save_png(image: &ColorImage, path: &Path) -> io::Result<()> {
    phalanx::dump::replace(path, &png(image)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::{Shape, epaint::WHITE_UV};

    const SIZE: [usize; 2] = [32, 32];

    fn white() -> Raster {
        let mut raster = Raster::default();
        let mut delta = TexturesDelta::default();
        let image = ColorImage::filled([1, 1], Color32::WHITE);
        delta.push(TextureId::default(), egui::epaint::ImageDelta::full(image, TextureOptions::LINEAR));
        raster.update(&mut delta);
        raster
    }

    fn paint(mesh: Mesh, clip: Rect) -> ColorImage {
        let primitive = ClippedPrimitive { clip_rect: clip, primitive: Primitive::Mesh(mesh) };
        white().paint(SIZE, 1.0, &[primitive], Color32::BLACK)
    }

    fn vertex(x: f32, y: f32, color: Color32) -> Vertex {
        Vertex { pos: Pos2::new(x, y), uv: WHITE_UV, color }
    }

    const ALL: Rect = Rect { min: Pos2::new(0.0, 0.0), max: Pos2::new(32.0, 32.0) };

    #[test]
    fn neighbours_neither_overlap_nor_leave_gaps() {
        // A fan of translucent triangles around odd places covers each pixel of the square exactly once.
        let half = Color32::from_rgba_premultiplied(100, 0, 0, 128);
        for centre in [(15.3, 16.7), (16.0, 16.0), (8.5, 24.5), (31.9, 0.1)] {
            let mut mesh = Mesh::default();
            let around = [
                (0.0, 0.0),
                (10.37, 0.0),
                (32.0, 0.0),
                (32.0, 17.21),
                (32.0, 32.0),
                (7.77, 32.0),
                (0.0, 32.0),
                (0.0, 3.3),
            ];
            mesh.vertices.push(vertex(centre.0, centre.1, half));
            mesh.vertices.extend(around.map(|(x, y)| vertex(x, y, half)));
            for i in 0..8 {
                mesh.indices.extend([0, 1 + i, 1 + (i + 1) % 8]);
            }
            let image = paint(mesh, ALL);
            let want = over(Color32::BLACK, half);
            assert!(image.pixels.iter().all(|p| *p == want), "around {centre:?}");
        }
    }

    #[test]
    fn clipped_and_interpolated() {
        let (left, right) = (Color32::BLACK, Color32::from_rgb(255, 0, 0));
        let mesh = Mesh {
            vertices: vec![
                vertex(0.0, 0.0, left),
                vertex(32.0, 0.0, right),
                vertex(32.0, 32.0, right),
                vertex(0.0, 32.0, left),
            ],
            indices: vec![0, 1, 2, 0, 2, 3],
            ..Mesh::default()
        };
        let image = paint(mesh, Rect::from_min_max(Pos2::new(8.0, 8.0), Pos2::new(24.0, 24.0)));
        assert_eq!(image[(7, 16)], Color32::BLACK);
        assert_eq!(image[(24, 16)], Color32::BLACK);
        assert_eq!(image[(16, 7)], Color32::BLACK);
        for x in 8..24 {
            let want = ((x as f32 + 0.5) / 32.0 * 255.0 + 0.5) as u8;
            assert_eq!(image[(x, 12)].r(), want, "column {x}");
            assert_eq!(image[(x, 12)], image[(x, 20)]);
        }
    }

    #[test]
    fn wild_vertices_do_no_harm() {
        let mut mesh = Mesh::default();
        for pos in [f32::NAN, f32::INFINITY, -1e30, 1e30, 3.0] {
            mesh.vertices.push(vertex(pos, 5.0, Color32::RED));
            mesh.vertices.push(vertex(5.0, pos, Color32::GREEN));
        }
        let n = mesh.vertices.len() as u32;
        mesh.indices = (0..n).flat_map(|i| [i, (i + 1) % n, (i * 7 + 3) % (n + 2)]).collect();
        paint(mesh, Rect::EVERYTHING);
    }

    #[test]
    fn textures_change_in_part() {
        let mut raster = white();
        let mut delta = TexturesDelta::default();
        let id = TextureId::Managed(7);
        let image = ColorImage::filled([4, 4], Color32::BLUE);
        delta.push(id, egui::epaint::ImageDelta::full(image, TextureOptions::NEAREST));
        let part = ColorImage::filled([1, 2], Color32::GREEN);
        delta.push(id, egui::epaint::ImageDelta::partial([3, 1], part, TextureOptions::NEAREST));
        raster.update(&mut delta);
        let mut mesh = Mesh::with_texture(id);
        let uv = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        mesh.add_rect_with_uv(Rect::from_min_size(Pos2::ZERO, Vec2::splat(4.0)), uv, Color32::WHITE);
        let primitive = ClippedPrimitive { clip_rect: ALL, primitive: Primitive::Mesh(mesh) };
        let image = raster.paint([4, 4], 1.0, &[primitive], Color32::BLACK);
        for y in 0..4 {
            for x in 0..4 {
                let want = if x == 3 && (1..3).contains(&y) { Color32::GREEN } else { Color32::BLUE };
                assert_eq!(image[(x, y)], want, "{x}, {y}");
            }
        }
    }

    #[test]
    fn text_is_painted_and_png_holds_it() {
        let theme = crate::theme::Theme::dark();
        let image = picture(Vec2::new(120.0, 40.0), 2.0, &theme, |ui| {
            ui.label("Phalanx");
            ui.painter().add(Shape::circle_filled(Pos2::new(100.0, 20.0), 8.0, Color32::from_rgb(0, 200, 0)));
        });
        assert_eq!(image.size, [240, 80]);
        let ground = image[(239, 79)];
        let lettered = image.pixels[..240 * 60].chunks(240).flat_map(|row| &row[..150]);
        assert!(
            lettered.filter(|p| **p != ground).count() > 300,
            "a word of 14 points is more than 300 pixels"
        );
        assert_eq!(image[(200, 40)], Color32::from_rgb(0, 200, 0));
        let bytes = png(&image).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(bytes)).read_info().unwrap();
        let mut rgba = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgba).unwrap();
        let back: Vec<_> =
            rgba.chunks_exact(4).map(|p| Color32::from_rgba_unmultiplied(p[0], p[1], p[2], p[3])).collect();
        assert_eq!(back, image.pixels);
    }
}
