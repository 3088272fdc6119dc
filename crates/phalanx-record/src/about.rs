//! What a recording says of itself, and the channels that follow from it.

use crate::{Error, Result, pattern::Pattern, round};
use phalanx::{
    Dtype, Field, Group,
    layout::{Layout, Manifest},
    schema::Record,
};
use serde::{Deserialize, Serialize};

/// What a recording says it is.
pub const FORMAT: &str = "phalanx-recording";
/// Changes when an older reader would misread a newer file.
pub const VERSION: u32 = 1;
/// Name of the attachment that holds [`About`].
pub const ABOUT: &str = "phalanx.json";
/// Name of the metadata that hold how it ended.
pub const VERDICT: &str = "phalanx.verdict";
/// Name of the metadata that hold units, frames and meanings.
pub const FIELDS: &str = "phalanx.fields";

/// Between the clock of the rounds and that of the walls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Nanoseconds since 1970 when the monotonic clock showed zero.
    pub unix_minus_monotonic_ns: i64,
}

impl Clock {
    /// As it is now.
    pub fn now() -> Self {
        let (monotonic, unix) = (phalanx_shm::clock::now_ns(), phalanx_shm::clock::unix_ns());
        Self { unix_minus_monotonic_ns: unix.wrapping_sub(monotonic) as i64 }
    }

    /// Nanoseconds since 1970 of a monotonic time.
    pub fn unix_ns(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.wrapping_add_signed(self.unix_minus_monotonic_ns)
    }

    /// Monotonic time of nanoseconds since 1970.
    pub fn monotonic_ns(&self, unix_ns: u64) -> u64 {
        unix_ns.wrapping_sub(self.unix_minus_monotonic_ns as u64)
    }
}

/// The attachment at the beginning of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Always [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The cluster's name.
    pub cluster: String,
    /// Rows recorded, ascending.
    pub rows: Vec<usize>,
    /// Fields recorded, as `group.field`; empty for all.
    pub fields: Vec<String>,
    /// Only rounds divisible by this were recorded.
    pub every: u64,
    /// Converts the times.
    pub clock: Clock,
    /// Settings, schema and plan of the cluster, whole.
    pub manifest: Manifest,
}

/// What is between the parentheses of [`About::check`]'s refusals.
const REMEDY: &str = "record it again, or read it with the Phalanx that wrote it";

impl About {
    /// Is it one that this program understands?
    pub fn check(&self) -> Result<(), String> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(format!(
                "{} version {}; this program reads {FORMAT} version {VERSION} ({REMEDY})",
                self.format, self.version
            ));
        }
        let count = self.manifest.config.rows;
        let ascend = self.rows.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascend || self.rows.last().is_some_and(|&last| last >= count) {
            return Err(format!("a recording of rows that cluster {:?} has not ({REMEDY})", self.cluster));
        }
        let records = &self.manifest.schema.records;
        let fits = |r: &Record| {
            r.stride <= 1 << 26
                && r.fields.iter().all(|f| {
                    let len = f.shape.iter().try_fold(f.dtype.size(), |n, &d| n.checked_mul(d));
                    len.and_then(|n| n.checked_add(f.offset)).is_some_and(|end| end <= r.stride)
                })
        };
        if records.iter().all(fits) {
            Ok(())
        } else {
            Err(format!("a recording of fields that overlap ({REMEDY})"))
        }
    }

    /// The manifest of what was recorded: groups and fields that were not are not in its schema.
    pub fn recorded(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        let kept = |group: Group, field: &Field| {
            group == Group::Status
                || self.fields.is_empty()
                || self.fields.iter().any(|path| {
                    let (of, name) = path.split_once('.').unwrap_or((path, ""));
                    of == group.to_string() && (name == field.name || name.is_empty())
                })
        };
        let held = |group: Group| {
            !matches!(group, Group::State | Group::Refs)
                || self.manifest.history
                || (group == Group::Refs && self.manifest.description.writes_refs)
        };
        for record in &mut manifest.schema.records {
            let group = record.group;
            record.fields.retain(|field| held(group) && kept(group, field));
        }
        manifest.schema.records.retain(|record| !record.fields.is_empty());
        let has = |group| manifest.schema.record(group).is_ok();
        manifest.history &= has(Group::State) || has(Group::Refs);
        manifest
    }

    /// Turns what users name (`state`, `cmd.joint_q`, or `joint_a` where that is unambiguous) into paths.
    pub fn paths(manifest: &Manifest, named: &[String]) -> Result<Vec<String>> {
        let path = |name: &String| {
            if let Some(group) = Group::ALL.iter().find(|group| group.to_string() == *name) {
                manifest.schema.record(*group)?;
                return Ok(name.clone());
            }
            let (record, field) = manifest.schema.find(name)?;
            Ok(format!("{}.{}", record.group, field.name))
        };
        named.iter().map(path).collect::<phalanx::Result<_>>().map_err(Error::from)
    }
}

/// Patterns of all messages of a recording.
#[derive(Debug)]
pub struct Patterns {
    /// Of each group in the order of [`Group::ALL`]; `None` where it was not recorded.
    pub groups: [Option<Pattern>; 5],
    /// Of refs as they were given, where the group has those that were followed instead; `None` where it has not.
    pub given: Option<Pattern>,
    /// Of rounds.
    pub round: Pattern,
    /// The rounds' record.
    pub round_record: Record,
    /// The layout of what was recorded.
    pub layout: Layout,
    /// The status' record, with what identifies an answer.
    pub status: Record,
}

/// What a status message says beyond the status: which answer of the row it is, and of which round.
pub const SERIAL: &str = "answer_serial";
/// The round of the answer.
pub const ROUND: &str = "answer_round";

impl Patterns {
    /// Of a recording of such a cluster.
    pub fn new(recorded: &Manifest) -> Result<Self> {
        let layout = Layout::new(recorded)?;
        let mut status = recorded.schema.record(Group::Status)?.clone();
        let end = status.fields.iter().map(|f| f.bytes().end).max().unwrap_or(0).next_multiple_of(8);
        for (i, (name, doc)) in
            [(SERIAL, "number of the answer, counted per row"), (ROUND, "round that was answered")]
                .iter()
                .enumerate()
        {
            let mut field = Field::new(name, "", doc).dtype(Dtype::U64);
            field.offset = end + 8 * i;
            status.fields.push(field);
        }
        status.stride = (end + 16).next_multiple_of(64);
        let groups = Group::ALL.map(|group| {
            let record = recorded.schema.record(group).ok()?;
            let record = if group == Group::Status { &status } else { record };
            let name = group.to_string();
            Some(Pattern::new(&(name[..1].to_uppercase() + &name[1..]), record))
        });
        let round_record = round::record()?;
        let given = recorded.schema.record(Group::Refs).ok().filter(|_| layout.followed && recorded.history);
        let given = given.map(|record| Pattern::new("GivenRefs", record));
        Ok(Self { groups, given, round: Pattern::new("Round", &round_record), round_record, layout, status })
    }

    /// Bytes of a row of a group, and for the status of what goes with it.
    pub fn row_words(&self, group: Group) -> usize {
        if group == Group::Status { self.status.words() } else { self.layout.words(group) }
    }

    /// Where in a status row the serial and the round lie, in words.
    pub fn answer_words(&self) -> (usize, usize) {
        let at = |name| self.status.field(name).map_or(0, |f| f.offset / 8);
        (at(SERIAL), at(ROUND))
    }
}

/// What is on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A group of a row.
    Row(usize, Group),
    /// The refs a row was given, where it changes them.
    Given(usize),
    /// Rounds.
    Rounds,
    /// Events.
    Events,
}

impl Lane {
    /// Its topic.
    pub fn topic(self, cluster: &str) -> String {
        match self {
            Self::Row(row, group) => format!("/{cluster}/row/{row}/{group}"),
            Self::Given(row) => format!("/{cluster}/row/{row}/given_refs"),
            Self::Rounds => format!("/{cluster}/rounds"),
            Self::Events => format!("/{cluster}/events"),
        }
    }

    /// What is on a topic, if it is one of ours.
    pub fn of_topic(topic: &str, cluster: &str) -> Option<Self> {
        let rest = topic.strip_prefix('/')?.strip_prefix(cluster)?.strip_prefix('/')?;
        match rest {
            "rounds" => Some(Self::Rounds),
            "events" => Some(Self::Events),
            _ => {
                let (row, group) = rest.strip_prefix("row/")?.split_once('/')?;
                if group == "given_refs" {
                    return Some(Self::Given(row.parse().ok()?));
                }
                let group = Group::ALL.into_iter().find(|g| g.to_string() == group)?;
                Some(Self::Row(row.parse().ok()?, group))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_say_what_is_on_them() {
        let lanes = Group::ALL.map(|group| Lane::Row(17, group)).into_iter().chain([
            Lane::Given(3),
            Lane::Rounds,
            Lane::Events,
        ]);
        for lane in lanes {
            assert_eq!(Lane::of_topic(&lane.topic("go1"), "go1"), Some(lane));
        }
        for topic in ["", "/go1", "/go2/rounds", "/go1/row/x/state", "/go1/row/1/stat", "/go1/row/1"] {
            assert_eq!(Lane::of_topic(topic, "go1"), None, "{topic}");
        }
    }

    #[test]
    fn clocks_return_what_they_came_from() {
        let clock = Clock::now();
        assert_eq!(clock.monotonic_ns(clock.unix_ns(12345)), 12345);
        let odd = Clock { unix_minus_monotonic_ns: -99 };
        assert_eq!(odd.monotonic_ns(odd.unix_ns(5)), 5);
    }
}
