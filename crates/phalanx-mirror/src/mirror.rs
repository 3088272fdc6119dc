//! The mirror itself: what is copied when, whatever the device is.

use crate::{
    Device, Direction, Engine, FieldView, HostSpan, Image, MirrorError, Result, Stream, Structure, rows::runs,
};
use phalanx::{ClusterClient, Report, Rows, Ticket, Wait, schema::Record};
use std::{ops::Range, slice, time::Instant};

/// A client's tables on a device.
///
/// [`Mirror::solve`] is a round. A face that needs the pieces calls, in this order: [`Mirror::before_round`],
/// the client's `trigger`, [`Mirror::before_gather`], the client's `wait`, [`Mirror::after_round`].
///
/// Rows in flight: as on a CPU, the inputs of a row are not to be written between its trigger and the end of
/// its round, and that goes for the device's tensors too.
///
/// After an error of the device, cluster and client can be used on, and so can the mirror if the device can.
pub struct Mirror {
    inputs: Half,
    outputs: Half,
    rows: usize,
    /// Rounds triggered here and not yet waited for.
    in_flight: Vec<u64>,
    /// Room for choices of rows.
    room: (Vec<usize>, Vec<Range<usize>>),
    blocks: Vec<Range<usize>>,
    times: Times,
}

/// What goes one way: its tables lie side by side.
struct Half {
    image: Box<dyn Image>,
    bytes: usize,
    tables: Vec<Placed>,
}

/// A table in an image.
struct Placed {
    structure: Structure,
    record: Record,
    /// Bytes from the start of the image.
    offset: usize,
}

/// How long the last copies took, µs; 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Times {
    /// The caller waited so long for its inputs: for the work in its stream, then for the copy.
    pub inputs_us: f64,
    /// The caller spent so long handing over the copy of the outputs.
    pub outputs_us: f64,
    /// The device was busy with the inputs' copy for so long, if it knows.
    pub inputs_busy_us: Option<f64>,
    /// The device was busy with the outputs' copy for so long, if it knows and that is done.
    pub outputs_busy_us: Option<f64>,
}

impl Mirror {
    /// Mirrors a client's tables as they are now: when this returns, the device holds them.
    pub fn new(engine: &dyn Engine, client: &ClusterClient) -> Result<Self> {
        let half = |direction| Half::new(engine, client, direction);
        let (inputs, outputs) = (half(Direction::ToHost)?, half(Direction::ToDevice)?);
        let rows = client.rows();
        Ok(Self {
            inputs,
            outputs,
            rows,
            in_flight: Vec::with_capacity(phalanx::client::MAX_IN_FLIGHT),
            room: (Vec::with_capacity(rows), Vec::with_capacity(rows)),
            blocks: Vec::with_capacity(2 * rows),
            times: Times::default(),
        })
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        self.inputs.image.device()
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The tables there are.
    pub fn structures(&self) -> impl Iterator<Item = Structure> + '_ {
        self.tables().map(|(_, table)| table.structure)
    }

    /// The fields of a table.
    pub fn record(&self, structure: Structure) -> Result<&Record> {
        self.table(structure).map(|(_, table)| &table.record)
    }

    /// Where a field lies on the device. That never changes.
    pub fn field(&self, structure: Structure, name: &str) -> Result<FieldView> {
        let (half, table) = self.table(structure)?;
        let field = table.record.field(name)?;
        Ok(FieldView::new(&*half.image, table.offset + field.offset, (self.rows, table.record.stride), field))
    }

    /// How many bytes a round of all rows brings to the host, and to the device.
    pub fn copied_bytes(&self) -> [usize; 2] {
        [self.inputs.bytes, self.outputs.bytes]
    }

    /// Why the arena's pages are not locked, if they could not be: copies are slower then.
    pub fn unlocked(&self) -> Option<&str> {
        self.inputs.image.unlocked().or(self.outputs.image.unlocked())
    }

    /// How long the last copies took.
    pub fn times(&self) -> Times {
        let [inputs_busy_us, _] = self.inputs.image.busy_us();
        let [_, outputs_busy_us] = self.outputs.image.busy_us();
        Times { inputs_busy_us, outputs_busy_us, ..self.times }
    }

    /// A round: [`ClusterClient::solve`] with inputs from the device and outputs to it.
    pub fn solve<'c, 'r>(
        &mut self,
        client: &'c mut ClusterClient,
        rows: impl Into<Rows<'r>>,
        stream: Stream,
    ) -> Result<&'c Report> {
        self.solve_with(client, rows.into(), Wait::default(), stream)
    }

    /// As [`Mirror::solve`], with a deadline, a timeout or an interrupt check.
    pub fn solve_with<'c>(
        &mut self,
        client: &'c mut ClusterClient,
        rows: Rows<'_>,
        mut wait: Wait<'_>,
        stream: Stream,
    ) -> Result<&'c Report> {
        let ticket = self.trigger_when_free(client, rows, stream, wait.interrupt.as_deref_mut())?;
        self.wait(client, ticket, wait, stream)
    }

    /// Brings the inputs to the host and posts a round. One copy, unless other rows are in flight: their
    /// inputs stay untouched. Waits while an operator holds the cluster, as [`ClusterClient::trigger`] does.
    pub fn trigger(&mut self, client: &mut ClusterClient, rows: Rows<'_>, stream: Stream) -> Result<Ticket> {
        self.trigger_when_free(client, rows, stream, None)
    }

    fn trigger_when_free(
        &mut self,
        client: &mut ClusterClient,
        rows: Rows<'_>,
        stream: Stream,
        mut interrupt: Option<&mut (dyn FnMut() -> bool + '_)>,
    ) -> Result<Ticket> {
        loop {
            match self.try_trigger(client, rows, stream)? {
                Some(ticket) => return Ok(ticket),
                None => client.wait_while_held(interrupt.as_deref_mut())?,
            }
        }
    }

    /// As [`Mirror::trigger`], never waiting for an operator: `None`, and nothing was asked, while one holds the cluster.
    pub fn try_trigger(
        &mut self,
        client: &mut ClusterClient,
        rows: Rows<'_>,
        stream: Stream,
    ) -> Result<Option<Ticket>> {
        let copied = if self.in_flight.is_empty() { Rows::All } else { rows };
        self.before_round(client, copied, stream)?;
        let Some(ticket) = client.try_trigger(rows)? else { return Ok(None) };
        self.in_flight.push(ticket.round());
        if !client.reset_by_operator().is_empty() {
            self.rows_reset(client, Rows::Ids(client.reset_by_operator()), stream)?;
        }
        Ok(Some(ticket))
    }

    /// Waits for a round and brings its answers to the device, in the order of the stream. They are brought
    /// also when waiting ends in an error: the client's tables then say which rows are late.
    pub fn wait<'c>(
        &mut self,
        client: &'c mut ClusterClient,
        ticket: Ticket,
        wait: Wait<'_>,
        stream: Stream,
    ) -> Result<&'c Report> {
        self.check(client)?;
        let settled = self.before_gather();
        self.in_flight.retain(|&round| round != ticket.round());
        // Also after an error of the device: rows that nobody waits for would be in flight for ever.
        let waited = client.wait(ticket, wait);
        let brought = self.bring_outputs(stream);
        waited?;
        settled.and(brought)?;
        client.note_copies(self.times.inputs_us, self.times.outputs_us);
        Ok(client.last_report())
    }

    /// As [`ClusterClient::reset`]; the default refs of these rows are on the device too, in the order of the
    /// stream.
    pub fn reset(&mut self, client: &mut ClusterClient, rows: Rows<'_>, stream: Stream) -> Result<()> {
        self.reset_seeded(client, rows, None, stream)
    }

    /// As [`Mirror::reset`], with a seed for the controllers.
    pub fn reset_seeded(
        &mut self,
        client: &mut ClusterClient,
        rows: Rows<'_>,
        seed: Option<u64>,
        stream: Stream,
    ) -> Result<()> {
        self.check(client)?;
        self.inputs.image.settle()?;
        client.reset_seeded(rows, seed)?;
        self.rows_reset(client, rows, stream)
    }

    /// Brings inputs from the device to the host, after all that is in the stream. When it returns the
    /// client's tables hold them, and no earlier upload reads the client's tables any more.
    ///
    /// All rows are one copy. A choice costs as many as it has runs of neighbours, twice; give it only where
    /// other rows are in flight.
    pub fn before_round(&mut self, client: &mut ClusterClient, rows: Rows<'_>, stream: Stream) -> Result<()> {
        let began = Instant::now();
        self.check(client)?;
        self.choose(rows, &[Structure::State, Structure::Refs])?;
        self.inputs.image.download(&self.blocks, stream)?;
        // The client's `trigger` may take an answer that came late, so the outputs must be free already.
        self.outputs.image.settle()?;
        self.times.inputs_us = us_since(began);
        Ok(())
    }

    /// Waits until no earlier upload reads the client's tables any more. To be called before the client's
    /// `wait` if anything was brought to the device since [`Mirror::before_round`]; it costs next to nothing
    /// otherwise.
    pub fn before_gather(&mut self) -> Result<()> {
        self.outputs.image.settle()
    }

    /// Brings the outputs of all rows to the device, in the order of the stream. Until the next
    /// [`Mirror::before_round`] or [`Mirror::before_gather`] the device may still be reading the client's
    /// tables.
    pub fn after_round(&mut self, client: &mut ClusterClient, stream: Stream) -> Result<()> {
        self.check(client)?;
        self.bring_outputs(stream)?;
        client.note_copies(self.times.inputs_us, self.times.outputs_us);
        Ok(())
    }

    /// Brings the refs of rows to the device, in the order of the stream, after [`ClusterClient::reset`]
    /// wrote their defaults: one copy for each run of neighbours.
    pub fn rows_reset(&mut self, client: &ClusterClient, rows: Rows<'_>, stream: Stream) -> Result<()> {
        self.check(client)?;
        self.choose(rows, &[Structure::Refs])?;
        self.inputs.image.upload(&self.blocks, stream)
    }

    /// A field of all rows as bytes, row after row, copied off the device after all that is in the stream and
    /// all that was brought to the device.
    /// Slow: to look at, not to work with.
    pub fn read(&self, structure: Structure, name: &str, stream: Stream) -> Result<Vec<u8>> {
        let (half, table) = self.table(structure)?;
        let field = table.record.field(name)?.bytes();
        let mut all = vec![0; self.rows * table.record.stride];
        half.image.peek(table.offset, &mut all, stream)?;
        Ok((0..self.rows)
            .flat_map(|row| all[row * table.record.stride..][field.clone()].iter().copied())
            .collect())
    }

    /// Writes a field of all rows on the device from bytes, row after row, after all that is in the stream and
    /// all that was brought to the device. Slow: to set up, not to work with. The table's other fields are read
    /// and written back: no other stream should be writing them meanwhile.
    pub fn write(&mut self, structure: Structure, name: &str, bytes: &[u8], stream: Stream) -> Result<()> {
        let (_, table) = self.table(structure)?;
        let (field, stride) = (table.record.field(name)?.bytes(), table.record.stride);
        let offset = table.offset + field.start;
        if bytes.len() != self.rows * field.len() {
            let (have, want) = (bytes.len(), self.rows * field.len());
            return Err(MirrorError::Misuse(format!("{structure}.{name} has {want} bytes, not {have}")));
        }
        let half = match structure.direction() {
            Direction::ToHost => &mut self.inputs,
            Direction::ToDevice => &mut self.outputs,
        };
        if bytes.is_empty() {
            return Ok(());
        }
        // From the first row's field to the last row's: one copy there and one back, however many rows.
        let mut span = vec![0; (self.rows - 1) * stride + field.len()];
        half.image.peek(offset, &mut span, stream)?;
        for (to, from) in span.chunks_mut(stride).zip(bytes.chunks_exact(field.len())) {
            to[..field.len()].copy_from_slice(from);
        }
        half.image.poke(offset, &span, stream)
    }

    fn bring_outputs(&mut self, stream: Stream) -> Result<()> {
        let began = Instant::now();
        self.outputs.image.upload(slice::from_ref(&(0..self.outputs.bytes)), stream)?;
        self.times.outputs_us = us_since(began);
        Ok(())
    }

    /// Is it the client the mirror was made of?
    fn check(&self, client: &ClusterClient) -> Result<()> {
        let same = client.state.memory().as_ptr().cast_const().cast() == self.inputs.image.host();
        same.then_some(()).ok_or(MirrorError::OtherClient)
    }

    /// The blocks of some rows in some of the inputs' tables. All rows of all tables are one block.
    fn choose(&mut self, rows: Rows<'_>, of: &[Structure]) -> Result<()> {
        self.blocks.clear();
        if rows == Rows::All && of.len() == self.inputs.tables.len() {
            self.blocks.push(0..self.inputs.bytes);
            return Ok(());
        }
        let (room, runs_of_rows) = &mut self.room;
        runs(rows, self.rows, room, runs_of_rows)?;
        for table in self.inputs.tables.iter().filter(|table| of.contains(&table.structure)) {
            let at = |row: usize| table.offset + row * table.record.stride;
            let blocks = runs_of_rows.iter().map(|run| at(run.start)..at(run.end));
            self.blocks.extend(blocks.filter(|block| !block.is_empty()));
        }
        Ok(())
    }

    fn tables(&self) -> impl Iterator<Item = (&Half, &Placed)> {
        [&self.inputs, &self.outputs].into_iter().flat_map(|half| half.tables.iter().map(move |t| (half, t)))
    }

    fn table(&self, structure: Structure) -> Result<(&Half, &Placed)> {
        self.tables()
            .find(|(_, table)| table.structure == structure)
            .ok_or(MirrorError::NoStructure(structure))
    }
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mirror of {} rows on {}", self.rows, self.device())
    }
}

impl Half {
    fn new(engine: &dyn Engine, client: &ClusterClient, direction: Direction) -> Result<Self> {
        let there = Structure::ALL.into_iter().filter(|structure| structure.direction() == direction);
        let there: Vec<_> = there.filter_map(|s| s.table(client).map(|table| (s, table))).collect();
        let span = HostSpan::new(there.iter().map(|(_, table)| table.memory()).collect())?;
        let placed = |(i, &(structure, table)): (usize, &(Structure, &phalanx::Table))| Placed {
            structure,
            record: table.record().clone(),
            offset: span.offset(i),
        };
        let tables = there.iter().enumerate().map(placed).collect();
        let bytes = span.bytes();
        let mut image = engine.image(span)?;
        image.upload(slice::from_ref(&(0..bytes)), Stream::DEFAULT)?;
        image.settle()?;
        Ok(Self { image, bytes, tables })
    }
}

fn us_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}
