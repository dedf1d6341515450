//! Metrics by name, and their text. The names are published: those who graph them and are alerted by them rely on them.
//!
//! They follow prometheus.io/docs/practices/naming: base units, `_total` for what is counted, and a time is a time rather
//! than an age. The crate that writes them escapes what labels hold.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::measured_volume::MeasuredVolume;
use crate::server::VolumeStatus;
use crate::types::{LATENCY_BOUNDS, Measured, MeasuredRequests, Usage, latency_bound_nanos};

/// The media type of what [`text`] makes.
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

const NANOS: f64 = 1e9;

/// The metrics of these volumes.
pub(super) fn text(volumes: Vec<MeasuredVolume>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Volumes(volumes)));
    let mut text = String::new();
    // A `String` takes all that is written to it, and the collector has no error of its own.
    if let Err(e) = prometheus_text::encode(&mut text, &registry) {
        log::error!("cannot put metrics into text: {e}");
    }
    text
}

/// A number that a volume's usage has: its metric, what that says, and where it is.
type Held = (&'static str, &'static str, fn(&Usage) -> u64);

#[derive(Debug)]
struct Volumes(Vec<MeasuredVolume>);

impl Collector for Volumes {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families {
            volumes: &self.0,
            encoder,
        };
        state(&mut families)?;
        requests(&mut families)?;
        background(&mut families)?;
        contents(&mut families)?;
        files(&mut families)
    }
}

fn state(families: &mut Families<'_, '_>) -> fmt::Result {
    families.states()?;
    families.gauge(
        "cask_volume_down",
        "Whether no server is started for the volume any more.",
        |volume| Some(u64::from(volume.is_down)),
    )?;
    families.gauge(
        "cask_writing_stopped",
        "Whether an I/O error has stopped all writing until the volume is mounted again.",
        |volume| volume.is_stopped.map(u64::from),
    )?;
    families.measured(
        "cask_server_start_time_seconds",
        "When the volume's server started, since 1970; it changes when another one takes over.",
        |measured| Some(measured.started),
    )
}

fn requests(families: &mut Families<'_, '_>) -> fmt::Result {
    families.latencies()?;
    families.measured(
        "cask_requests_waiting",
        "Requests of the kernel that have no answer yet.",
        |measured| measured.waiting,
    )?;
    families.counter(
        "cask_read_bytes",
        "Bytes that the server gave to the kernel; what the page cache had is not in it.",
        |measured| measured.read_bytes,
    )?;
    families.counter(
        "cask_written_bytes",
        "Bytes that the kernel gave to the server.",
        |measured| measured.written_bytes,
    )?;
    families.counter(
        "cask_damaged_requests",
        "Requests that failed because what they needed is damaged.",
        |measured| measured.damaged_requests,
    )
}

fn background(families: &mut Families<'_, '_>) -> fmt::Result {
    families.measured(
        "cask_log_bytes",
        "Metadata in the log that is still to be moved into the database.",
        |measured| Some(measured.log_bytes),
    )?;
    families.counter(
        "cask_checkpoints",
        "How often the log was moved into the database.",
        |measured| measured.checkpoints,
    )?;
    families.counter(
        "cask_collector_removed_segments",
        "Segments that the collector has removed.",
        |measured| measured.collected.segments,
    )?;
    families.counter(
        "cask_collector_removed_bytes",
        "Bytes of the segments that the collector has removed.",
        |measured| measured.collected.removed_bytes,
    )?;
    families.counter(
        "cask_collector_moved_bytes",
        "Bytes that the collector has moved out of segments before it removed them.",
        |measured| measured.collected.moved_bytes,
    )
}

fn contents(families: &mut Families<'_, '_>) -> fmt::Result {
    let bytes: [Held; 8] = [
        (
            "cask_inodes",
            "Files, directories and all else that has an inode.",
            |u| u.inodes,
        ),
        (
            "cask_logical_bytes",
            "Data of the files, each byte as often as it is in one.",
            |u| u.logical_bytes,
        ),
        (
            "cask_live_bytes",
            "Stored bytes of what the files hold.",
            |u| u.live_bytes,
        ),
        (
            "cask_snapshot_bytes",
            "Stored bytes of what only snapshots hold.",
            |u| u.snapshot_bytes,
        ),
        (
            "cask_dead_bytes",
            "Stored bytes that nothing names any more: the collector's backlog.",
            |u| u.dead_bytes,
        ),
        ("cask_segment_bytes", "Bytes of all segments.", |u| {
            u.segment_bytes
        }),
        (
            "cask_shared_bytes",
            "Bytes of the segments that clones share.",
            |u| u.shared_bytes,
        ),
        (
            "cask_host_free_bytes",
            "Bytes that are free where the volume lies.",
            |u| u.host_free_bytes,
        ),
    ];
    for (name, help, of) in bytes {
        families.gauge(name, help, |volume| volume.told.usage.as_ref().map(of))?;
    }
    families.gauge(
        "cask_dedup_ratio",
        "Bytes of the files for each byte that is different.",
        |volume| volume.told.usage.as_ref().map(Usage::dedup_ratio),
    )?;
    families.gauge(
        "cask_compression_ratio",
        "Bytes before compression for each stored byte.",
        |volume| volume.told.usage.as_ref().map(Usage::compression_ratio),
    )
}

/// What is known of every volume, mounted or not.
fn files(families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauge(
        "cask_host_bytes",
        "What the volume takes on the host.",
        |volume| Some(volume.host_bytes),
    )?;
    families.gauge(
        "cask_limit_bytes",
        "How many bytes of data the files may hold, where there is a limit.",
        |volume| volume.limits.bytes,
    )?;
    families.gauge(
        "cask_limit_inodes",
        "How many inodes there may be, where there is a limit.",
        |volume| volume.limits.inodes,
    )?;
    schedules(families)?;
    families.gauge(
        "cask_scrub_damage",
        "Damaged files and chunks that reading again what is stored has found.",
        |volume| Some(volume.scrubbed.as_ref()?.damage().len() as u64),
    )?;
    families.gauge(
        "cask_scrub_last_finished_timestamp_seconds",
        "When all that is stored was last read again, since 1970.",
        |volume| volume.scrubbed.as_ref()?.finished,
    )
}

fn schedules(families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauge(
        "cask_schedule_last_snapshot_timestamp_seconds",
        "When the last scheduled snapshot was taken, since 1970.",
        |volume| volume.scheduled.as_ref()?.taken,
    )?;
    families.gauge(
        "cask_schedule_last_success_timestamp_seconds",
        "When a scheduled snapshot was last taken, or nothing had changed, since 1970.",
        |volume| volume.scheduled.as_ref()?.seen_to,
    )?;
    families.gauge(
        "cask_schedule_failures",
        "How often a scheduled snapshot has failed since; 0 for each volume that has a schedule.",
        |volume| Some(volume.scheduled.as_ref()?.failures),
    )
}

/// Writes one metric after the other, of all volumes each: all samples of a metric must be together.
struct Families<'v, 'e> {
    volumes: &'v [MeasuredVolume],
    encoder: DescriptorEncoder<'e>,
}

impl Families<'_, '_> {
    fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        value: impl Fn(&MeasuredVolume) -> Option<V>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for volume in self.volumes {
            if let Some(value) = value(volume) {
                let labels = [("volume", volume.name.as_str())];
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A gauge of what servers tell.
    fn measured<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        value: impl Fn(&Measured) -> Option<V>,
    ) -> fmt::Result {
        self.gauge(name, help, |volume| {
            volume.told.measured.as_ref().and_then(&value)
        })
    }

    /// Of what servers tell; the encoder adds `_total` to the name.
    fn counter(&mut self, name: &str, help: &str, value: impl Fn(&Measured) -> u64) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for volume in self.volumes {
            if let Some(measured) = &volume.told.measured {
                let labels = [("volume", volume.name.as_str())];
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&value(measured), None)?;
            }
        }
        Ok(())
    }

    /// One of them is 1.
    fn states(&mut self) -> fmt::Result {
        let help = "What the volume is doing: the state that it is in is 1.";
        let kind = MetricType::Gauge;
        let mut family = self
            .encoder
            .encode_descriptor("cask_volume_state", help, None, kind)?;
        for volume in self.volumes {
            for status in VolumeStatus::ALL {
                let labels = [("volume", volume.name.as_str()), ("state", status.word())];
                let is_so = u64::from(status == volume.status);
                family.encode_family(&labels)?.encode_gauge(&is_so)?;
            }
        }
        Ok(())
    }

    fn latencies(&mut self) -> fmt::Result {
        let name = "cask_request_duration_seconds";
        let help = "How long the server took to answer requests of the kernel.";
        let kind = MetricType::Histogram;
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for volume in self.volumes {
            let measured = volume.told.measured.iter();
            for requests in measured.flat_map(|measured| &measured.requests) {
                let operation = requests.operation.as_str();
                let labels = [("volume", volume.name.as_str()), ("operation", operation)];
                let buckets = buckets(requests);
                let count = buckets.iter().map(|(_, count)| count).sum();
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(
                        seconds(requests.nanos),
                        count,
                        &buckets,
                        None,
                    )?;
            }
        }
        Ok(())
    }
}

/// Each bucket's bound in seconds, and what is in that one alone: the encoder adds up.
fn buckets(requests: &MeasuredRequests) -> Vec<(f64, u64)> {
    let bounds = (0..LATENCY_BOUNDS).map(|bucket| seconds(latency_bound_nanos(bucket)));
    let bounds = bounds.chain([f64::INFINITY]);
    bounds.zip(requests.buckets.iter().copied()).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the sum of latencies is exact to some microseconds after a year"
)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Told;
    use crate::types::{Limits, Schedule};

    #[test]
    fn any_name_is_one_label_on_one_line() {
        let volume = MeasuredVolume {
            name: "a\"} 1\nb\\".to_owned(),
            status: VolumeStatus::Unmounted,
            is_down: false,
            is_stopped: None,
            told: Told::default(),
            host_bytes: 7,
            limits: Limits::default(),
            schedule: Schedule::OFF,
            scheduled: None,
            scrubbed: None,
        };
        let text = text(vec![volume]);
        let line = r#"cask_host_bytes{volume="a\"} 1\nb\\"} 7"#;
        assert!(text.lines().any(|found| found == line), "{text}");
        let is_whole = |line: &str| line.starts_with("# ") || line.starts_with("cask_");
        assert!(text.lines().all(is_whole), "{text}");
    }
}
